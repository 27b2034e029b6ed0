"""The OpenAPI description of REST, from the descriptors of the methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.rpc.status_pb2 import Status

from trunkline import __version__
from trunkline.rpc.asgi import json_schema
from trunkline.rpc.gen.comments import COMMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.rpc.methods import Method

_SCHEMAS = "#/components/schemas/"
_JSON = "application/json"
_STATUS = json_schema.reference(Status.DESCRIPTOR, _SCHEMAS)

_INTRODUCTION = (
    "Versioned data and incremental pipelines, with the Pachyderm 2.12 API. Each method is a POST of its request as "
    "JSON. Integers of 64 bits are strings in answers, bytes are base64, and a message that is absent is null."
)
_REQUEST_STREAM = "The body is a sequence of JSON objects, one for each request."
_ANSWER_STREAM = "The response is a line for each answer; when the call fails, its last line is the error."


def document(methods: Iterable[Method], base: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the methods that are built; the others answer UNIMPLEMENTED.

    Args:
        methods: all methods.
        base: the path below which they are.
    """
    built = sorted((method for method in methods if method.is_built), key=lambda method: method.rpc)
    types = [Status.DESCRIPTOR]
    for method in built:
        types += (method.input_type, method.output_type)
    services = sorted({method.rpc.partition("/")[0] for method in built})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Trunkline",
            "version": __version__,
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [_described(service, {"name": service}) for service in services],
        "paths": {f"{base}/{method.rpc}": {"post": _operation(method)} for method in built},
        "components": {
            "schemas": json_schema.schemas(types, _SCHEMAS),
            "responses": {
                "Error": _response("The status of the call, with the HTTP status for its code.", _STATUS),
                "StreamError": _response(
                    "The status of a call that failed before its first answer.",
                    {"type": "object", "properties": {"error": _STATUS}},
                ),
            },
        },
    }


def _operation(method: Method) -> dict[str, Any]:
    service, _, name = method.rpc.partition("/")
    notes = [COMMENTS.get(f"{service}.{name}", "")]
    answer = json_schema.reference(method.output_type, _SCHEMAS)
    if method.client_streaming:
        notes.append(_REQUEST_STREAM)
    if method.server_streaming:
        notes.append(_ANSWER_STREAM)
        answer = {"type": "object", "properties": {"result": answer, "error": _STATUS}}
    error = "StreamError" if method.server_streaming else "Error"
    return {
        "operationId": f"{service}.{name}",
        "summary": name,
        "description": " ".join(note for note in notes if note),
        "tags": [service],
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": json_schema.reference(method.input_type, _SCHEMAS)}},
        },
        "responses": {
            "200": _response("The answer.", answer),
            "default": {"$ref": f"#/components/responses/{error}"},
        },
    }


def _response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {_JSON: {"schema": schema}}}


def _described(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    text = COMMENTS.get(name)
    return {**entry, "description": text} if text else entry
