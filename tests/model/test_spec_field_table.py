"""Every field of the API's CreatePipelineRequest is honoured, left to fleets, or refused: none is ignored silently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from trunkline.drivers.fleets.kubernetes.fleet import UNSUPPORTED as PODS_UNSUPPORTED
from trunkline.drivers.fleets.process_fields import UNSUPPORTED
from trunkline.errors import InvalidArgument
from trunkline.model.spec import complete, from_json
from trunkline.model.spec_rules import unsupported, validate
from trunkline.rpc.gen import pps_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor

PFS: dict[str, Any] = {"repo": "a", "glob": "/"}
#: Refused by every server, with a spec that sets the field.
REFUSED: dict[str, dict[str, Any]] = {
    "tf_job": {"tf_job": {"tf_job": "x"}},
    "s3_out": {"s3_out": True},
    "input.pfs.s3": {"input": {"pfs": {**PFS, "s3": True}}},
    "input.cron.commit": {"input": {"cron": {"name": "t", "spec": "@never", "commit": "x"}}},
    "determined": {"determined": {"workspaces": ["w"]}},
}
#: Honoured by pods; processes warn or refuse, unless the value has a meaning for them too.
BY_FLEET = {
    "transform.debug", "transform.dockerfile", "transform.memory_volume", "transform.image_pull_secrets",
    "resource_requests.cpu", "resource_requests.gpu", "resource_requests.disk", "resource_limits.cpu",
    "resource_limits.gpu", "resource_limits.disk", "sidecar_resource_requests", "sidecar_resource_limits",
    "scheduling_spec", "tolerations", "pod_spec", "pod_patch", "metadata",
}  # fmt: skip
#: Options of the request.
OF_REQUEST = {"update", "reprocess", "dry_run", "spec_commit"}
HONOURED = {
    "pipeline", "description", "transform.image", "transform.cmd", "transform.err_cmd", "transform.env",
    "transform.secrets", "transform.stdin", "transform.err_stdin", "transform.accept_return_code", "transform.user",
    "transform.working_dir", "parallelism_spec", "output_branch", "resource_requests.memory", "resource_limits.memory",
    "input", "datum_set_spec", "datum_timeout", "job_timeout", "salt", "datum_tries", "reprocess_spec", "autoscaling",
    "maximum_expected_uptime", "transform.datum_batching", "spout", "service", "egress",
}  # fmt: skip
TABLE = {*REFUSED, *BY_FLEET, *OF_REQUEST, *HONOURED}


def paths(message: Descriptor, before: str = "", within: tuple[Descriptor, ...] = ()) -> Iterator[str]:
    """Yield the paths of a message's fields, inner ones for messages."""
    for field in message.fields:
        inner, path = field.message_type, f"{before}{field.name}"
        is_value = inner is None or inner.full_name.startswith("google.") or inner.GetOptions().map_entry
        if is_value or inner in within:
            yield path
        else:
            yield from paths(inner, f"{path}.", (*within, inner))


def row(path: str) -> str | None:
    """Return the row of the table for a path: the longest that it begins with."""
    rows = [name for name in TABLE if path == name or path.startswith(f"{name}.")]
    return max(rows, key=len, default=None)


def test_the_table_has_every_field_of_the_api_and_no_other():
    fields = list(paths(pps_pb2.CreatePipelineRequest.DESCRIPTOR))

    assert [path for path in fields if row(path) is None] == []
    assert TABLE - {row(path) for path in fields} == set()


@pytest.mark.parametrize("field", REFUSED)
def test_a_field_that_no_server_honours_is_refused(field: str):
    spec = complete(
        from_json(
            {
                "pipeline": {"name": "p"},
                "transform": {"cmd": ["true"]},
                "input": {"pfs": PFS},
                **REFUSED[field],
            }
        )
    )
    try:
        validate(spec)
        sentences = unsupported(spec)
    except InvalidArgument as error:
        sentences = [error.message]

    assert any(field in sentence for sentence in sentences)


def test_processes_say_of_each_field_for_pods_that_it_has_no_effect():
    parts = {part for name in UNSUPPORTED for part in (name, name.partition(".")[0])}
    # Requests are what a scheduler reserves, and metadata describes: that they mean less here changes no result.
    harmless = {"resource_requests.cpu", "resource_requests.disk", "metadata"}

    assert BY_FLEET - parts == harmless
    assert PODS_UNSUPPORTED.keys() <= BY_FLEET
