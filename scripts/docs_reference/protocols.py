"""RPCs, fields of JSON output, and metrics that are read at a scrape."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING

from google.protobuf.descriptor import FieldDescriptor

from docs_reference.markdown import code, table
from trunkline.app import composition, monitoring
from trunkline.pps.gauges import Gauges
from trunkline.rpc import methods
from trunkline.rpc.debug import DebugServicer
from trunkline.rpc.gen.comments import COMMENTS
from trunkline.rpc.logs import LogsServicer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor, ServiceDescriptor
    from prometheus_client.core import Metric

#: The message that ``-o json`` prints for each kind of object.
SHOWN = {
    "project": "pfs_v2.ProjectInfo",
    "repo": "pfs_v2.RepoInfo",
    "branch": "pfs_v2.BranchInfo",
    "commit": "pfs_v2.CommitInfo",
    "file": "pfs_v2.FileInfo",
    "pipeline": "pps_v2.PipelineInfo",
    "job": "pps_v2.JobInfo",
    "datum": "pps_v2.DatumInfo",
    "secret": "pps_v2.SecretInfo",
    "transaction": "transaction_v2.TransactionInfo",
    "worker": "trunkline.control.v1.WorkerInfo",
    "node": "trunkline.control.v1.MachineInfo",
    "cost": "trunkline.control.v1.CostInfo",
    "image": "trunkline.control.v1.ImageInfo",
    "storage": "trunkline.control.v1.StorageInfo",
    "worker-token": "trunkline.machines.v1.WorkerTokenInfo",
}
#: Services that a server does not answer, but something else does.
_ELSEWHERE = {
    "pachyderm.worker.Worker": "Workers answer it, for the programs of pipelines with `datum_batching`.",
}
_TYPES = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BOOL: "boolean",
    FieldDescriptor.TYPE_BYTES: "base64 string",
    FieldDescriptor.TYPE_ENUM: "name of an enum",
    FieldDescriptor.TYPE_DOUBLE: "number",
    FieldDescriptor.TYPE_FLOAT: "number",
    FieldDescriptor.TYPE_INT64: "string of an integer",
    FieldDescriptor.TYPE_UINT64: "string of an integer",
}
_WELL_KNOWN = {
    "google.protobuf.Timestamp": "RFC 3339 time",
    "google.protobuf.Duration": "seconds, as `1.5s`",
}


def json_fields() -> str:
    """Return the fields of the JSON of each kind of object."""
    lines = []
    for noun, name in SHOWN.items():
        lines += [f"### {noun.capitalize()}", "", _fields(_message(name)), ""]
    return "\n".join(lines)


def rpcs() -> str:
    """Return the RPCs of every service, and whether they are built."""
    built = classes()
    lines = []
    for name, service in methods.SERVICES.items():
        servicer = built.get(name)
        lines += [f"## {name}", ""]
        if name in _ELSEWHERE:
            lines += [_ELSEWHERE[name], ""]
        elif servicer is None:
            lines += ["Not built: every call is answered with UNIMPLEMENTED.", ""]
        rows = [_rpc(service, method, servicer) for method in service.methods_by_name]
        width = 5 if any(row[4] for row in rows) else 4
        heads = ("RPC", "Request", "Answer", "Built", "What it does")
        lines += [table(heads[:width], [row[:width] for row in rows]), ""]
    return "\n".join(lines)


def classes() -> dict[str, type]:
    """Return the class that answers for each service that a server has."""
    answering: dict[str, type] = {}
    tree = ast.parse(inspect.getsource(composition.servicers))
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(value, ast.Call):
                    assert isinstance(value.func, ast.Name)
                    answering[str(key.value)] = getattr(composition, value.func.id)
    return {**answering, "debug_v2.Debug": DebugServicer, "logs.API": LogsServicer}


def scraped() -> Iterator[Metric]:
    """Yield the metrics that a scrape reads from the database, without values."""

    class Empty:
        """A store without pipelines, and a log that is up to date."""

        age = 0.0
        clock = None

        def read(self, *_: object) -> Gauges:
            return Gauges([], {"written": 0, "chunks": 0, "stored": 0})

        def now(self) -> float:
            return 0.0

    empty = Empty()
    empty.clock = empty  # type: ignore[assignment]
    yield from monitoring.StateCollector(empty, empty).collect()  # type: ignore[arg-type]


def _rpc(service: ServiceDescriptor, name: str, servicer: type | None) -> tuple[str, ...]:
    method = service.methods_by_name[name]
    request = f"{'stream of ' if method.client_streaming else ''}{code(method.input_type.name)}"
    answer = f"{'stream of ' if method.server_streaming else ''}{code(method.output_type.name)}"
    built = "yes" if hasattr(servicer, name) else "by workers" if service.full_name in _ELSEWHERE else "no"
    return code(name), request, answer, built, COMMENTS.get(method.full_name, "")


def _message(name: str) -> Descriptor:
    package, _, short = name.rpartition(".")
    for service in methods.SERVICES.values():
        if service.file.package == package:
            return service.file.message_types_by_name[short]
    raise LookupError(name)


def _fields(message: Descriptor) -> str:
    rows = [
        (code(field.name), _type(field), COMMENTS.get(field.full_name, "").partition("\n")[0])
        for field in message.fields
    ]
    if any(meaning for _, _, meaning in rows):
        return table(("Field", "Type", "Meaning"), rows)
    return table(("Field", "Type"), [row[:2] for row in rows])


def _type(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        if field.message_type.GetOptions().map_entry:
            return "object of strings"
        name = _WELL_KNOWN.get(field.message_type.full_name) or f"object `{field.message_type.name}`"
    else:
        name = _TYPES.get(field.type, "integer")
    return f"list: {name}" if field.is_repeated else name
