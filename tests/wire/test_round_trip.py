"""Bytes survive the way upb → betterproto → upb: the SDK reads what we write and we read what it writes."""

from __future__ import annotations

import our_wire
import published_sdk as sdk
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from pachyderm_sdk.api import pfs

from trunkline.rpc.gen import pfs_pb2

# One value per type that a wrong type, sign or width would not survive.
SCALARS = {
    FieldDescriptor.TYPE_BOOL: True,
    FieldDescriptor.TYPE_BYTES: b"\x00\xff",
    FieldDescriptor.TYPE_DOUBLE: 0.1,
    FieldDescriptor.TYPE_FLOAT: -0.25,
    FieldDescriptor.TYPE_INT32: -(2**31),
    FieldDescriptor.TYPE_INT64: -(2**63),
    FieldDescriptor.TYPE_STRING: "grün/ 木",
    FieldDescriptor.TYPE_UINT32: 2**32 - 1,
    FieldDescriptor.TYPE_UINT64: 2**64 - 1,
}


def fill(message, arm, inside=()):
    """Set every field of ``message``; of each oneof only its field number ``arm`` (cyclic).

    A message type that is already being filled further out stays unset, or recursion would not end.
    """
    descriptor = message.DESCRIPTOR
    if descriptor.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        message.seconds, message.nanos = 1_700_000_000, 123_456_000  # the SDK keeps microseconds only
        return message
    inside = (*inside, descriptor.full_name)
    for field in descriptor.fields:
        oneof = field.containing_oneof
        if oneof and field is not oneof.fields[arm % len(oneof.fields)]:
            continue
        if our_wire.is_map(field):
            fill_map(getattr(message, field.name), field.message_type.fields_by_name, arm, inside)
        elif field.message_type and field.message_type.full_name in inside:
            continue
        elif field.message_type and field.is_repeated:
            fill(getattr(message, field.name).add(), arm, inside)
            fill(getattr(message, field.name).add(), arm + 1, inside)
        elif field.message_type:
            getattr(message, field.name).SetInParent()
            fill(getattr(message, field.name), arm, inside)
        elif field.is_repeated:
            getattr(message, field.name).extend([value_of(field)] * 2)
        else:
            setattr(message, field.name, value_of(field))
    return message


def fill_map(target, entry, arm, inside):
    if entry["value"].message_type:
        if entry["value"].message_type.full_name not in inside:
            fill(target[value_of(entry["key"])], arm, inside)
    else:
        target[value_of(entry["key"])] = value_of(entry["value"])


def value_of(field):
    return field.enum_type.values[-1].number if field.enum_type else SCALARS[field.type]


def arms(descriptor):
    """How many fillings it takes to use every field of every oneof of the message."""
    return max((len(oneof.fields) for oneof in descriptor.oneofs), default=1)


@pytest.mark.parametrize("name", sorted(our_wire.messages()))
def test_a_filled_message_comes_back_from_the_sdk_unchanged(name):
    descriptor = our_wire.messages()[name]
    cls = GetMessageClass(descriptor)

    for arm in range(arms(descriptor)):
        ours = fill(cls(), arm)

        theirs = sdk.messages()[name].FromString(ours.SerializeToString())

        assert cls.FromString(bytes(theirs)) == ours


def test_a_filled_message_has_no_field_left_to_chance():
    """The filling itself is checked: a pipeline's info, the deepest message, has every field set."""
    info = our_wire.messages()["pps_v2.PipelineInfoDetails"]

    filled = fill(GetMessageClass(info)(), 0)

    assert {field.name for field, _ in filled.ListFields()} == {field.name for field in info.fields}


def test_an_empty_file_is_told_from_no_file():
    ours = pfs_pb2.ModifyFileRequest(add_file=pfs_pb2.AddFile(path="/empty", raw={}))

    theirs = pfs.ModifyFileRequest.FromString(ours.SerializeToString())
    back = pfs_pb2.ModifyFileRequest.FromString(bytes(theirs))

    assert theirs.add_file.raw == b""
    assert back.add_file.WhichOneof("source") == "raw"


def test_the_sdk_fills_an_empty_repo_with_defaults():
    """Why the server takes type ``user`` and project ``default`` without a name for a repo that is unset."""
    asked = pfs.ListCommitRequest(repo=pfs.Repo())

    ours = pfs_pb2.ListCommitRequest.FromString(bytes(asked))

    assert (ours.repo.name, ours.repo.type, ours.repo.project.name) == ("", "user", "default")
