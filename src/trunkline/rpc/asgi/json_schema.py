"""JSON Schema of the JSON of messages, from their descriptors.

A schema describes what the server writes and what it reads under the names of JSON: an absent message may be null, and
64-bit integers are strings that may be sent as numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.rpc.gen.comments import COMMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

#: ``FieldDescriptor.CPPTYPE_*``, in their order.
_INT32, _INT64, _UINT32, _UINT64, _DOUBLE, _FLOAT, _BOOL, _ENUM, _STRING, _MESSAGE = range(1, 11)
_LONG = {"type": ["string", "integer"], "format": "int64"}
_SCALARS: dict[int, dict[str, Any]] = {
    _INT32: {"type": "integer", "format": "int32"},
    _UINT32: {"type": "integer", "format": "int32", "minimum": 0},
    _INT64: _LONG,
    _UINT64: _LONG,
    _DOUBLE: {"type": "number", "format": "double"},
    _FLOAT: {"type": "number", "format": "float"},
    _BOOL: {"type": "boolean"},
    _STRING: {"type": "string"},
}
_BYTES = {"type": "string", "contentEncoding": "base64"}
#: ``FieldDescriptor.TYPE_BYTES``.
_TYPE_BYTES = 12

_WELL_KNOWN: dict[str, dict[str, Any]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?s$"},
    "google.protobuf.Any": {"type": "object", "properties": {"@type": {"type": "string"}}},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.FieldMask": {"type": "string"},
}


def schemas(messages: Iterable[Descriptor], prefix: str) -> dict[str, dict[str, Any]]:
    """Return the schemas of messages and of all that they refer to, by full name.

    Args:
        messages: the messages.
        prefix: where references find them, such as ``#/definitions/``.
    """
    by_name: dict[str, dict[str, Any]] = {}
    waiting = list(messages)
    while waiting:
        message = waiting.pop()
        if message.full_name in by_name:
            continue
        by_name[message.full_name] = _message(message, prefix)
        for field in message.fields:
            value = _map_value(field) or field
            if value.message_type is not None:
                waiting.append(value.message_type)
            elif value.enum_type is not None:
                by_name[value.enum_type.full_name] = _enum(value.enum_type)
    return dict(sorted(by_name.items()))


def reference(descriptor: Descriptor | EnumDescriptor, prefix: str) -> dict[str, Any]:
    """Return a schema that refers to the one of a message or an enum.

    Args:
        descriptor: of the message or enum.
        prefix: where references find it.
    """
    return {"$ref": prefix + descriptor.full_name}


def _map_value(field: FieldDescriptor) -> FieldDescriptor | None:
    """Return the field that describes the values of a map; None for a field that is no map."""
    entry = field.message_type
    return entry.fields_by_name["value"] if entry is not None and entry.GetOptions().map_entry else None


def _message(descriptor: Descriptor, prefix: str) -> dict[str, Any]:
    name = descriptor.full_name
    if name in _WELL_KNOWN:
        return _WELL_KNOWN[name]
    if name.startswith("google.protobuf.") and name.endswith("Value"):  # a wrapper of a scalar
        return _single(descriptor.fields_by_name["value"], prefix)
    properties = {
        field.json_name: _described(field.full_name, _field(field, prefix)) for field in descriptor.fields
    }
    schema = {
        "type": "object",
        "title": descriptor.name,
        "properties": properties,
        "additionalProperties": False,
    }
    return _described(name, schema)


def _enum(descriptor: EnumDescriptor) -> dict[str, Any]:
    if descriptor.full_name == "google.protobuf.NullValue":
        return {"type": "null"}
    names = [value.name for value in descriptor.values]
    return _described(descriptor.full_name, {"type": "string", "title": descriptor.name, "enum": names})


def _field(field: FieldDescriptor, prefix: str) -> dict[str, Any]:
    if (value := _map_value(field)) is not None:
        return {"type": "object", "additionalProperties": _single(value, prefix)}
    if field.is_repeated:
        return {"type": "array", "items": _single(field, prefix)}
    if field.message_type is not None:
        return {"anyOf": [_single(field, prefix), {"type": "null"}]}
    return _single(field, prefix)


def _single(field: FieldDescriptor, prefix: str) -> dict[str, Any]:
    """Return the schema of one value of a field."""
    kind = field.message_type or field.enum_type
    if kind is not None:
        return reference(kind, prefix)
    return _BYTES if field.type == _TYPE_BYTES else _SCALARS[field.cpp_type]


def _described(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Add the comment of the .proto file to a schema."""
    text = COMMENTS.get(name)
    if not text:
        return schema
    return {"description": text, **schema}
