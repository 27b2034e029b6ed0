"""Our descriptors and the published SDK agree on every message, field, enum value and RPC, both ways.

There are no exceptions to list: whatever either side has, the other has too.
"""

from __future__ import annotations

import our_wire
import published_sdk as sdk
import pytest
from google.protobuf import json_format

from trunkline.rpc.gen import pfs_pb2, pps_pb2

SHAPE = {False: "unary", True: "stream"}


def test_the_packages_are_the_same():
    assert our_wire.FILES.keys() == sdk.PACKAGES.keys()


def test_no_message_is_missing_on_either_side():
    assert our_wire.messages().keys() == sdk.messages().keys()


def test_no_enum_is_missing_on_either_side():
    assert our_wire.enums().keys() == sdk.enums().keys()


@pytest.mark.parametrize("name", sorted(sdk.messages()))
def test_the_fields_of_a_message_are_the_same(name):
    assert our_wire.fields(our_wire.messages()[name]) == sdk.fields(sdk.messages()[name])


@pytest.mark.parametrize("name", sorted(sdk.enums()))
def test_the_values_of_an_enum_are_the_same(name):
    theirs = {member.name: member.value for member in sdk.enums()[name]}

    ours = {value.name: value.number for value in our_wire.enums()[name].values}

    assert ours == theirs


def test_the_rpcs_are_the_same():
    ours = {
        f"/{service.full_name}/{rpc.name}": (
            f"{SHAPE[rpc.client_streaming]}_{SHAPE[rpc.server_streaming]}",
            our_wire.flat(rpc.input_type),
            our_wire.flat(rpc.output_type),
        )
        for file in our_wire.FILES.values()
        for service in file.services_by_name.values()
        for rpc in service.methods
    }

    assert ours == sdk.rpcs()


def test_fields_whose_names_are_python_keywords_keep_their_wire_names():
    assert "from" in pfs_pb2.ListCommitRequest.DESCRIPTOR.fields_by_name
    assert "continue" in pps_pb2.CreateDatumRequest.DESCRIPTOR.fields_by_name


@pytest.mark.parametrize("spelling", ["URL", "url"])
def test_a_spec_may_spell_the_egress_url_either_way(spelling):
    egress = json_format.ParseDict({spelling: "s3://bucket"}, pps_pb2.Egress())

    assert egress.url == "s3://bucket"
    assert json_format.MessageToDict(egress) == {"URL": "s3://bucket"}
