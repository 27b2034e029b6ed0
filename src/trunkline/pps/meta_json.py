"""A datum and its result as JSON: the file ``meta`` of a meta commit, in the form of Pachyderm's ``datum.Meta``.

The form is that of protocol buffers as JSON: names in lowerCamelCase, 64-bit numbers as text, bytes in base64,
zero values left out. The commits and branches are those of the job that ran the datum. The datum's position
(``index``) is left out: it changes whenever a datum before it is added or removed.
"""

from __future__ import annotations

import base64
import json
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trunkline.meta import jobs
from trunkline.model.states import DatumState
from trunkline.pps import plan
from trunkline.pps.items import LeafIndex
from trunkline.pps.spec_cache import input_of

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.spec import PfsInput
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.datum_rows import DatumRow, RowItem
    from trunkline.pps.spec_cache import Specs

#: States other than PROCESSED, which is the zero value.
_STATES = {DatumState.FAILED: "FAILED", DatumState.RECOVERED: "RECOVERED"}


class InputOrigin(Struct, frozen=True):
    """An input as the job that ran a datum read it."""

    leaf: PfsInput
    #: None when the job or the commit was removed.
    commit: CommitRow | None


class Origins:
    """The inputs of the jobs that ran datums, the recently used ones are cached.

    Args:
        versions: the store.
        specs: parsed specifications.
        pipeline: whose jobs.
        number: jobs that are held.
    """

    def __init__(self, versions: VersionedStore, specs: Specs, pipeline: PipelineRow, number: int) -> None:
        self.pipeline = pipeline
        self._versions = versions
        self._specs = specs
        self._number = number
        self._jobs: OrderedDict[str, dict[tuple[str, str], InputOrigin]] = OrderedDict()

    def of(self, job_id: str) -> dict[tuple[str, str], InputOrigin]:
        """Return the inputs of a job by the input and origin of items; nothing when the job was removed."""
        origin = self._jobs.get(job_id)
        if origin is None:
            origin = self._jobs[job_id] = self._versions.read(self._look, job_id)
            if len(self._jobs) > self._number:
                self._jobs.popitem(last=False)
        else:
            self._jobs.move_to_end(job_id)
        return origin

    def _look(self, conn: sa.Connection, job_id: str) -> dict[tuple[str, str], InputOrigin]:
        job = jobs.find(conn, self.pipeline.id, job_id)
        if job is None:
            return {}
        spec = self._specs.of(conn, self.pipeline.id, job.version)
        commits = plan.inputs_of(conn, spec, job).commits
        return {place: InputOrigin(leaf, commits[key]) for place, key, leaf in LeafIndex(input_of(spec))}


def text(row: DatumRow, origins: Origins) -> bytes:
    """Return the JSON of a datum that a job ran.

    Args:
        row: the datum.
        origins: inputs of the pipeline's jobs.
    """
    inputs = origins.of(row.job_id)
    pipeline = origins.pipeline
    message: dict[str, Any] = {
        "job": {
            "pipeline": {"project": {"name": pipeline.project}, "name": pipeline.name},
            "id": row.job_id,
        },
        "inputs": [_input(item, inputs.get((item.input, item.origin))) for item in row.items],
        "hash": row.hash.hex(),
    }
    if row.state in _STATES:
        message["state"] = _STATES[row.state]
    if row.reason:
        message["reason"] = row.reason
    stats = {
        "downloadTime": _duration(row.download_ns),
        "processTime": _duration(row.process_ns),
        "uploadTime": _duration(row.upload_ns),
        "downloadBytes": str(row.download_bytes) if row.download_bytes else "",
        "uploadBytes": str(row.upload_bytes) if row.upload_bytes else "",
    }
    message["stats"] = {name: value for name, value in stats.items() if value}
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


def _input(item: RowItem, origin: InputOrigin | None) -> dict[str, Any]:
    file: dict[str, Any] = {"path": item.path, "datum": "default"}
    info: dict[str, Any] = {"file": file, "fileType": "DIR" if item.path.endswith("/") else "FILE"}
    message: dict[str, Any] = {"fileInfo": info, "name": item.input}
    if origin is not None:
        leaf, commit = origin.leaf, origin.commit
        repo = {"name": leaf.repo, "type": leaf.repo_type, "project": {"name": leaf.project}}
        file["commit"] = {"repo": repo, "branch": {"repo": repo, "name": leaf.branch}}
        message["branch"] = leaf.branch
        if commit is not None:
            file["commit"]["id"] = commit.set_id
            if commit.finished is not None:
                info["committed"] = _time(commit.finished)
    if item.size:
        info["sizeBytes"] = str(item.size)
    info["hash"] = base64.b64encode(item.hash).decode()
    return message


def _duration(nanoseconds: int) -> str:
    """Return a span as JSON has it, empty for none."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{seconds}.{rest:09d}s" if nanoseconds else ""


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
