"""What our descriptors say of the wire, in the words of ``published_sdk``."""

from __future__ import annotations

from functools import cache

import betterproto
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from published_sdk import Field

from trunkline.rpc.gen import (
    admin_pb2,
    auth_pb2,
    cdr_pb2,
    debug_pb2,
    enterprise_pb2,
    identity_pb2,
    license_pb2,
    logs_pb2,
    metadata_pb2,
    pfs_pb2,
    pjs_pb2,
    pps_pb2,
    snapshot_pb2,
    storage_pb2,
    taskapi_pb2,
    transaction_pb2,
    version_pb2,
    worker_pb2,
)

FILES = {
    module.DESCRIPTOR.package: module.DESCRIPTOR
    for module in (
        admin_pb2,
        auth_pb2,
        cdr_pb2,
        debug_pb2,
        enterprise_pb2,
        identity_pb2,
        license_pb2,
        logs_pb2,
        metadata_pb2,
        pfs_pb2,
        pjs_pb2,
        pps_pb2,
        snapshot_pb2,
        storage_pb2,
        taskapi_pb2,
        transaction_pb2,
        version_pb2,
        worker_pb2,
    )
}

SCALARS = {
    FieldDescriptor.TYPE_BOOL: betterproto.TYPE_BOOL,
    FieldDescriptor.TYPE_BYTES: betterproto.TYPE_BYTES,
    FieldDescriptor.TYPE_DOUBLE: betterproto.TYPE_DOUBLE,
    FieldDescriptor.TYPE_FLOAT: betterproto.TYPE_FLOAT,
    FieldDescriptor.TYPE_INT32: betterproto.TYPE_INT32,
    FieldDescriptor.TYPE_INT64: betterproto.TYPE_INT64,
    FieldDescriptor.TYPE_STRING: betterproto.TYPE_STRING,
    FieldDescriptor.TYPE_UINT32: betterproto.TYPE_UINT32,
    FieldDescriptor.TYPE_UINT64: betterproto.TYPE_UINT64,
}


def flat(descriptor: Descriptor | EnumDescriptor) -> str:
    """``pfs_v2.CommitInfo.Details`` as the SDK writes it: ``pfs_v2.CommitInfoDetails``."""
    package = descriptor.file.package
    return f"{package}.{descriptor.full_name.removeprefix(package).replace('.', '')}"


@cache
def messages() -> dict[str, Descriptor]:
    descriptors: dict[str, Descriptor] = {}

    def add(message: Descriptor) -> None:
        if not message.GetOptions().map_entry:
            descriptors[flat(message)] = message
        for nested in message.nested_types:
            add(nested)

    for file in FILES.values():
        for message in file.message_types_by_name.values():
            add(message)
    return descriptors


@cache
def enums() -> dict[str, EnumDescriptor]:
    top = [enum for file in FILES.values() for enum in file.enum_types_by_name.values()]
    nested = [enum for message in messages().values() for enum in message.enum_types]
    return {flat(enum): enum for enum in top + nested}


def fields(message: Descriptor) -> set[Field]:
    return {
        Field(
            name=field.name,
            number=field.number,
            type=type_of(field),
            repeated=field.is_repeated and not is_map(field),
            oneof=field.containing_oneof.name if field.containing_oneof else None,
            optional=field.has_presence and not field.message_type and not field.containing_oneof,
        )
        for field in message.fields
    }


def is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def type_of(field: FieldDescriptor) -> str:
    if is_map(field):
        entry = field.message_type.fields_by_name
        return f"map<{type_of(entry['key'])}, {type_of(entry['value'])}>"
    named = field.message_type or field.enum_type
    return flat(named) if named else SCALARS[field.type]
