"""The JSON Schema (2020-12) of pipeline specs, for editors and for checks without a server.

It accepts what ``spec.from_json`` reads: snake and camel case, integers as strings, null for a field that is not set.
What fields mean together (``spec_rules``) is not in it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from trunkline.model import spec, spec_fields, spec_help

if TYPE_CHECKING:
    from trunkline.model.spec_fields import Declared

_INTEGER: dict[str, object] = {
    "anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^[+-]?[0-9]{1,19}$"}]
}
_KINDS: dict[str, dict[str, object]] = {
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "integer": _INTEGER,
    "number": {"type": ["number", "string"]},
    "duration": {"type": "string"},
    "map of strings": {"type": "object", "additionalProperties": {"type": "string"}},
    "ignored": {},
}


def document() -> dict[str, object]:
    """Return the schema of a pipeline spec."""
    definitions = {cls.__name__: _of_class(cls) for cls in spec_help.ENTRIES}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Trunkline pipeline spec",
        "$ref": f"#/$defs/{spec.PipelineSpec.__name__}",
        "$defs": definitions,
    }


def text() -> str:
    """Return the schema as it is served and published."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _of_class(cls: type) -> dict[str, object]:
    properties: dict[str, object] = {}
    for field, entry in spec_help.fields_of(cls):
        description = " ".join(filter(None, (entry.summary, entry.details)))
        value = {"description": description.replace("`", '"'), **_value(field)}
        for spelling in spec_fields.spellings(cls, field.name):
            properties[spelling] = value
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _value(field: Declared) -> dict[str, object]:
    if field.message is not None:
        value: dict[str, object] = {"$ref": f"#/$defs/{field.message.__name__}"}
    elif field.choices:
        value = {
            "anyOf": [{"enum": list(field.choices)}, {"type": "integer", "maximum": len(field.choices) - 1}]
        }
    else:
        value = _KINDS[field.element or field.kind]
    if field.element:
        value = {"type": "array", "items": value}
    return {"anyOf": [value, {"type": "null"}]} if value else value
