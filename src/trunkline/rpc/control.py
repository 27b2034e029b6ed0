"""What Trunkline offers beyond the Pachyderm API (``protos/trunkline/control/control.proto``)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from trunkline import errors
from trunkline.meta import chunks, jobs, pipelines, workers
from trunkline.model import limits, names
from trunkline.pps import costs, datum_rows
from trunkline.pps import pipelines as pipeline_ops
from trunkline.rpc import convert
from trunkline.rpc.gen import control_pb2 as pb
from trunkline.rpc.servicer import ServicerBase
from trunkline.scaling import rates
from trunkline.storage.segments import TreeId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from concurrent.futures import Executor

    import sqlalchemy as sa

    from trunkline.model.workers import Machine
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.spec_cache import Specs

#: Jobs whose costs are told when the request does not say how many.
COSTS = 20
#: Decisions told when the request does not say how many.
DECISIONS = 20


class Image(Protocol):
    """An image environment as this door tells it."""

    @property
    def name(self) -> str:
        """What pipelines call it."""

    @property
    def hash(self) -> str:
        """Hex hash of its definition."""

    @property
    def state(self) -> str:
        """building, ready or failed."""

    @property
    def reason(self) -> str:
        """Why its build failed."""

    @property
    def files(self) -> Sequence[str]:
        """Absolute paths that it brings."""


class Images(Protocol):
    """Where image environments are kept; the fleet's driver has them."""

    def create(self, name: str, requirements: str, files: Sequence[tuple[str, bytes, int]]) -> Image:
        """Make ``name`` mean these requirements and files (absolute path, content, mode)."""

    def list(self) -> Sequence[Image]:
        """Return all, by name."""

    def delete(self, name: str) -> None:
        """Forget a name, or raise NotFound."""


class ControlServicer(ServicerBase):
    """Answers ``trunkline.control.v1.Control``."""

    def __init__(
        self,
        versions: VersionedStore,
        specs: Specs,
        images: Images,
        machines: Callable[[], Sequence[Machine]],
        executor: Executor,
    ) -> None:
        """Make the servicer.

        Args:
            versions: the store.
            specs: the parsed specifications.
            images: where image environments are kept.
            machines: returns what the fleet says of its machines.
            executor: where blocking work runs.
        """
        super().__init__(versions, executor)
        self._specs = specs
        self._images = images
        self._machines = machines

    async def ListWorker(self, request: pb.ListWorkerRequest, _context: Any) -> AsyncIterator[pb.WorkerInfo]:
        for info in await self._blocking(
            self._versions.read, self._workers, request.project, request.pipeline
        ):
            yield info

    async def ListMachine(
        self, _request: pb.ListMachineRequest, _context: Any
    ) -> AsyncIterator[pb.MachineInfo]:
        machines = await self._blocking(self._machines)
        on = await self._versions.db.read(_workers_by_machine)
        for machine in machines:
            there = on.get(machine.name, ())
            info = pb.MachineInfo(
                name=machine.name,
                kind=machine.kind,
                group=machine.group,
                instance_type=machine.instance_type,
                region=machine.region,
                spot=machine.spot,
                cpu=machine.cpu,
                memory_bytes=machine.memory,
                ready=machine.ready,
                pretended=machine.pretended,
                workers=[worker_id for worker_id, _ in there],
                pipelines=[pipeline for _, pipeline in there],
                dollars_per_hour=rates.per_hour(machine) or 0.0,
            )
            convert.set_time(info.created, machine.created)
            yield info

    async def ListCost(self, request: pb.ListCostRequest, _context: Any) -> AsyncIterator[pb.CostInfo]:
        project = request.project or names.DEFAULT_PROJECT

        def look(conn: sa.Connection) -> list[costs.Cost]:
            if request.pipeline:
                found = [pipeline_ops.find(conn, project, request.pipeline)]
            else:
                found = pipelines.list_all(conn, [project])
            return costs.costs(
                conn,
                self._specs,
                pipeline_ids=[row.id for row in found],
                set_id=request.job_id,
                number=request.number or COSTS,
                now=self._versions.clock.now(),
            )

        for cost in await self._versions.db.read(look):
            yield pb.CostInfo(
                project=cost.pipeline.project,
                pipeline=cost.pipeline.name,
                job_id=cost.job.set_id,
                worker_seconds=cost.worker_seconds,
                work_seconds=cost.work_seconds,
                dollars=cost.dollars,
                unpriced_seconds=cost.unpriced_seconds,
                pretended=cost.pretended,
            )

    async def ExplainPipeline(
        self, request: pb.ExplainPipelineRequest, _context: Any
    ) -> AsyncIterator[pb.Decision]:
        project = request.project or names.DEFAULT_PROJECT

        def look(conn: sa.Connection) -> list[pipelines.DecisionRow]:
            row = pipeline_ops.find(conn, project, request.pipeline)
            return pipelines.decisions(conn, row.id, request.number or DECISIONS)

        for row in await self._versions.db.read(look):
            told = pb.Decision(target=row.target, sentence=row.sentence, inputs_json=json.dumps(row.inputs))
            convert.set_time(told.at, row.at)
            yield told

    async def CreateImage(
        self, requests: AsyncIterator[pb.CreateImageRequest], _context: Any
    ) -> pb.ImageInfo:
        name = requirements = ""
        contents: dict[str, bytearray] = {}
        modes: dict[str, int] = {}
        size = 0
        async for request in requests:
            name, requirements = name or request.name, requirements or request.requirements
            for file in request.files:
                contents.setdefault(file.path, bytearray()).extend(file.data)
                modes[file.path] = modes.get(file.path, 0) | file.mode
                size += len(file.data)
            what = f"the files of image {name!r}"
            limits.check_count(
                size, limits.IMAGE_BYTES, what, "put data into a repo and name that as an input"
            )
            limits.check_count(len(contents), limits.IMAGE_FILES, what, "bring fewer files")
        if not name:
            raise errors.InvalidArgument("the image has no name")
        files = [(path, bytes(data), modes[path] or 0o644) for path, data in contents.items()]
        return _told(await self._blocking(self._images.create, name, requirements, files))

    async def ListImage(self, _request: pb.ListImageRequest, _context: Any) -> AsyncIterator[pb.ImageInfo]:
        for image in await self._blocking(self._images.list):
            yield _told(image)

    async def DeleteImage(self, request: pb.DeleteImageRequest, _context: Any) -> pb.DeleteImageResponse:
        await self._blocking(self._images.delete, request.name)
        return pb.DeleteImageResponse()

    async def InspectStorage(self, _request: pb.InspectStorageRequest, _context: Any) -> pb.StorageInfo:
        count, packs, stored, length, written = await self._versions.db.read(chunks.totals)
        return pb.StorageInfo(
            chunks=count, packs=packs, stored_bytes=stored, chunk_bytes=length, written_bytes=written
        )

    def _workers(self, conn: sa.Connection, project: str, pipeline: str) -> list[pb.WorkerInfo]:
        infos = []
        for row in workers.list_all(conn):
            owner = pipelines.by_id(conn, row.pipeline_id)
            if (
                owner is None
                or (project and owner.project != project)
                or (pipeline and owner.name != pipeline)
            ):
                continue
            info = pb.WorkerInfo(
                id=row.id,
                project=owner.project,
                pipeline=owner.name,
                pipeline_version=row.version,
                state=row.state,
                reason=row.reason,
                machine=row.machine["name"] if row.machine is not None else "",
            )
            convert.set_time(info.created, row.created)
            if row.ready is not None:
                convert.set_time(info.ready, row.ready)
            for claim in jobs.claims_of_worker(conn, row.id):
                self._tell_claim(conn, info, claim)
            infos.append(info)
        return infos

    def _tell_claim(self, conn: sa.Connection, info: pb.WorkerInfo, claim: jobs.ClaimRow) -> None:
        job = jobs.by_id(conn, claim.job_id)
        if job is None or job.todo is None:
            return
        info.job_id = job.set_id
        at = claim.done if claim.datum_position is None else claim.datum_position
        found = datum_rows.trees(self._versions).rows(TreeId(job.todo), at, at + 1)
        if found:
            info.datum_id = found[0][0].hex()


def _workers_by_machine(conn: sa.Connection) -> dict[str, list[tuple[str, str]]]:
    """Return the id and the pipeline of the workers on each machine."""
    owners = {row.id: str(row) for row in pipelines.list_all(conn, [])}
    found: dict[str, list[tuple[str, str]]] = {}
    for row in workers.list_all(conn):
        if row.machine is not None:
            found.setdefault(row.machine["name"], []).append((row.id, owners[row.pipeline_id]))
    return found


def _told(image: Image) -> pb.ImageInfo:
    return pb.ImageInfo(
        name=image.name, digest=image.hash, state=str(image.state), reason=image.reason, paths=image.files
    )
