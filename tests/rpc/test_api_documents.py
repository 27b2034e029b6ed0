"""The documents that describe the API: OpenAPI with its page, and JSON Schema."""

from __future__ import annotations

import gzip
import json
import re

import jsonschema
import openapi_spec_validator
import pytest
import web_servicers
from exchange import Exchange
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from trunkline.rpc import methods
from trunkline.rpc.asgi import json_messages, json_schema
from trunkline.rpc.asgi.documents import SPEC_SCHEMA, Documents


class Control:
    async def InspectStorage(self, _request, _call):
        return None


METHODS = methods.table({"pfs_v2.API": web_servicers.Pfs(), "trunkline.control.v1.Control": Control()})


@pytest.fixture(scope="module")
def documents():
    return Documents(METHODS)


async def get(documents, path, *, method="GET", headers=()):
    return await Exchange(documents, path, method=method, headers=headers, base=()).ended()


@pytest.fixture
async def openapi(documents):
    return (await get(documents, "/openapi")).json


def test_the_document_is_valid_openapi_3_1(openapi):
    assert openapi["openapi"].startswith("3.1")

    openapi_spec_validator.validate(openapi)


def test_every_method_that_is_built_is_described(openapi):
    assert set(openapi["paths"]) == {f"/api{path}" for path, method in METHODS.items() if method.is_built}
    inspect = openapi["paths"]["/api/pfs_v2.API/InspectRepo"]["post"]
    assert inspect["tags"] == ["pfs_v2.API"]
    assert inspect["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/pfs_v2.InspectRepoRequest"
    }


def test_comments_of_the_proto_files_are_descriptions(openapi):
    control = openapi["paths"]["/api/trunkline.control.v1.Control/InspectStorage"]["post"]

    assert control["description"].startswith("Bytes in the store.")


def filled(descriptor, depth=0):
    """Return a message with a value in every field that is not in a oneof, two levels deep."""
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if (
            field.containing_oneof is not None
            or depth == 2
            or descriptor.full_name.startswith("google.protobuf.")
        ):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            if value.message_type is None:
                getattr(message, field.name)[key(field)] = scalar(value)
            else:
                getattr(message, field.name)[key(field)].CopyFrom(filled(value.message_type, depth + 1))
        elif field.message_type is not None:
            part = filled(field.message_type, depth + 1)
            if field.is_repeated:
                getattr(message, field.name).append(part)
            else:
                getattr(message, field.name).CopyFrom(part)
        elif field.is_repeated:
            getattr(message, field.name).append(scalar(field))
        else:
            setattr(message, field.name, scalar(field))
    return message


def key(field):
    return scalar(field.message_type.fields_by_name["key"])


def scalar(field):
    kinds = {
        FieldDescriptor.CPPTYPE_STRING: b"x" if field.type == FieldDescriptor.TYPE_BYTES else "x",
        FieldDescriptor.CPPTYPE_BOOL: True,
        FieldDescriptor.CPPTYPE_DOUBLE: 1.5,
        FieldDescriptor.CPPTYPE_FLOAT: 1.5,
    }
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    return kinds.get(field.cpp_type, 7)


def test_the_json_of_every_answer_is_valid_for_its_schema():
    prefix = "#/definitions/"
    types = {method.output_type.full_name: method.output_type for method in METHODS.values()}
    definitions = json_schema.schemas(types.values(), prefix)

    for descriptor in types.values():
        schema = {**json_schema.reference(descriptor, prefix), "definitions": definitions}
        validator = jsonschema.Draft7Validator(schema)
        for message in (GetMessageClass(descriptor)(), filled(descriptor)):
            assert list(validator.iter_errors(json.loads(json_messages.to_full_json(message)))) == []
    assert len(types) > 80


async def test_a_message_has_a_json_schema_where_pachyderm_has_it(documents):
    exchange = await get(documents, "/jsonschema/pps_v2/CreatePipelineRequest.schema.json")

    jsonschema.Draft7Validator.check_schema(exchange.json)
    validator = jsonschema.Draft7Validator(exchange.json)
    spec = {
        "pipeline": {"name": "count"},
        "transform": {"cmd": ["sh"]},
        "datumTries": "3",
        "autoscaling": True,
    }
    assert list(validator.iter_errors(spec)) == []
    assert not validator.is_valid({**spec, "transfrom": {}})
    assert not validator.is_valid({**spec, "autoscaling": "yes"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/jsonschema", 404),
        ("GET", "/jsonschema/pps_v2/None.schema.json", 404),
        ("GET", "/jsonschema/pps_v2/CreatePipelineRequest", 404),
        ("GET", "/jsonschema/../../etc/passwd", 404),
        ("GET", "/openapi/none", 404),
        ("GET", "/openapi/ui/../documents.py", 404),
        ("POST", "/openapi", 405),
        ("GET", "/openapi/ui", 308),
    ],
)
async def test_other_paths_are_refused_or_redirected(documents, method, path, status):
    assert (await get(documents, path, method=method)).status == status


async def test_the_page_loads_nothing_from_elsewhere(documents):
    page = await get(documents, "/openapi/ui/")
    sources = re.findall(rb'(?:src|href|spec-url)="([^"]+)"', page.body)
    script = await get(documents, "/openapi/ui/rapidoc-min.js")

    assert sources == [b"rapidoc-min.js", b"/openapi"]
    assert page.headers[b"content-security-policy"].startswith(b"default-src 'none'; script-src 'self'; ")
    assert script.status == 200
    assert (await get(documents, "/openapi/ui/rapidoc-min.js.LICENSE.txt")).body.startswith(b"MIT License")


async def test_documents_are_compressed_and_not_sent_twice(documents):
    plain = await get(documents, "/openapi")
    packed = await get(documents, "/openapi", headers=[(b"accept-encoding", b"gzip, br")])
    again = await get(documents, "/openapi", headers=[(b"if-none-match", plain.headers[b"etag"])])

    assert gzip.decompress(packed.body) == plain.body
    assert (again.status, again.body) == (304, b"")


async def test_the_schema_of_pipeline_specs_is_served(documents):
    answer = await get(documents, SPEC_SCHEMA)

    jsonschema.Draft202012Validator.check_schema(answer.json)
    assert "datum_tries" in answer.json["$defs"]["PipelineSpec"]["properties"]
