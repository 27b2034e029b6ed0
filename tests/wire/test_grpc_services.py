"""Our descriptors of gRPC's own services agree with gRPC's published packages.

Those register the same names as ours, so another process imports them.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest
from google.protobuf import descriptor_pb2

from trunkline.rpc.gen import health_pb2, reflection_pb2, reflection_v1alpha_pb2

PUBLISHED = {
    "grpc_health.v1.health_pb2": health_pb2,
    "grpc_reflection.v1alpha.reflection_pb2": reflection_v1alpha_pb2,
    # gRPC publishes v1 for Python under the name v1alpha alone; v1 has the same messages.
    "grpc_reflection.v1alpha.reflection_pb2 as v1": reflection_pb2,
}


def facts(file):
    """Return what the wire is made of: every message's fields, every enum's values, every RPC."""

    def message(descriptor, prefix):
        name = prefix + descriptor.name
        yield (
            name,
            sorted(
                (field.number, field.name, field.label, field.type, field.type_name.rpartition(".")[2])
                for field in descriptor.field
            ),
        )
        for nested in descriptor.nested_type:
            yield from message(nested, f"{name}.")
        for enum in descriptor.enum_type:
            yield f"{name}.{enum.name}", sorted((value.number, value.name) for value in enum.value)

    return {
        **{name: fields for descriptor in file.message_type for name, fields in message(descriptor, "")},
        **{
            service.name: sorted(
                (
                    rpc.name,
                    rpc.input_type.rpartition(".")[2],
                    rpc.output_type.rpartition(".")[2],
                    rpc.client_streaming,
                    rpc.server_streaming,
                )
                for rpc in service.method
            )
            for service in file.service
        },
    }


@pytest.mark.skipif(find_spec("grpc_reflection") is None, reason="grpcio-reflection is not installed")
@pytest.mark.parametrize("module", PUBLISHED)
def test_a_service_of_grpc_is_the_published_one(module):
    name = module.partition(" ")[0]
    program = f"import sys, {name} as m; sys.stdout.buffer.write(m.DESCRIPTOR.serialized_pb)"
    theirs = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True).stdout
    ours = descriptor_pb2.FileDescriptorProto()
    PUBLISHED[module].DESCRIPTOR.CopyToProto(ours)

    assert facts(ours) == facts(descriptor_pb2.FileDescriptorProto.FromString(theirs))
