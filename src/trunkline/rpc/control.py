"""Trunkline's own API beside the Pachyderm API (``protos/trunkline/control/control.proto``)."""

from __future__ import annotations

import json
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Protocol

from trunkline import errors
from trunkline.model import limits, names
from trunkline.model.events import EventFilter, parse_position
from trunkline.pfs import queries
from trunkline.pps.queries import costs, pipeline_queries, progress, worker_queries
from trunkline.pps.queries.job_queries import JobFilter
from trunkline.rpc import convert
from trunkline.rpc.control_apply import ApplyCalls
from trunkline.rpc.gen import control_pb2 as pb
from trunkline.scaling import rates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from concurrent.futures import Executor

    from trunkline.model.workers import Machine
    from trunkline.pfs.event_hub import EventHub
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.admission import Admission
    from trunkline.pps.queries.worker_queries import WorkerInfo
    from trunkline.pps.spec_cache import Specs
    from trunkline.rpc.call import Call


class Image(Protocol):
    """An image environment as this API reports it."""

    @property
    def name(self) -> str:
        """Its name in pipelines."""

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
        """Absolute paths of its files."""


class Images(Protocol):
    """The image environments; the fleet's driver stores them."""

    def create(self, name: str, requirements: str, files: Sequence[tuple[str, bytes, int]]) -> Image:
        """Create or replace an image environment.

        Args:
            name: image name as pipelines use it.
            requirements: pip requirements, one per line; empty for none.
            files: absolute path, content and permission bits of each file.

        Raises:
            InvalidArgument: the name, a path or a requirement is not valid.
        """

    def list(self) -> Sequence[Image]:
        """Return all image environments, ordered by name."""

    def delete(self, name: str) -> None:
        """Delete a name, or raise NotFound."""


#: Seconds without an event after which a watcher looks again whether it has ended.
EVENT_PAUSE = 3600.0
#: Jobs listed with their costs when the request does not say how many.
COSTS = 20


class ControlServicer(ApplyCalls):
    """Answers ``trunkline.control.v1.Control``."""

    def __init__(
        self,
        versions: VersionedStore,
        specs: Specs,
        images: Images,
        machines: Callable[[], Sequence[Machine]],
        executor: Executor,
        events: EventHub,
        admission: Admission,
    ) -> None:
        """Create the servicer.

        Args:
            versions: the store.
            specs: the parsed specifications.
            images: the image environments.
            machines: returns the fleet's machines.
            executor: runs blocking work.
            events: has the events.
            admission: checks specifications.
        """
        super().__init__(versions, executor)
        self._specs = specs
        self._images = images
        self._machines = machines
        self._events = events
        self._admission = admission

    async def ListWorker(self, request: pb.ListWorkerRequest, call: Call) -> AsyncIterator[pb.WorkerInfo]:
        steps = worker_queries.list_workers(self._store(call), request.project, request.pipeline)
        async with aclosing(self._ahead(steps)) as pages:
            async for page in pages:
                for info in page:
                    yield _worker_info(info)

    async def InspectProgress(self, request: pb.InspectProgressRequest, call: Call) -> pb.JobProgress:
        job = names.JobName(
            names.PipelineName(request.project or names.DEFAULT_PROJECT, request.pipeline), request.job_id
        )
        info = await self._blocking(progress.of_job, self._store(call), job)
        outlook = info.outlook
        return pb.JobProgress(
            total=info.job.total,
            recorded=info.job.handed_in,
            skipped=info.job.skipped,
            running=info.running,
            waiting=info.waiting,
            workers=info.workers,
            median_seconds=outlook.median,
            p90_seconds=outlook.most,
            p99_seconds=outlook.nearly_all,
            datums_per_second=outlook.rate,
            seconds_left=outlook.seconds_left,
            seconds_left_p90=outlook.seconds_at_most,
            late=[
                pb.LateDatum(
                    id=each.id,
                    paths=each.paths,
                    worker_id=each.worker_id,
                    seconds=each.seconds,
                    times_median=each.times_median,
                )
                for each in info.late
            ],
        )

    async def WatchEvents(self, request: pb.WatchEventsRequest, _call: Call) -> AsyncIterator[pb.Event]:
        admitted = EventFilter.parse(
            kinds=request.kinds,
            projects=request.projects,
            repos=request.repos,
            pipelines=request.pipelines,
            jobs=request.job_ids,
        )
        if request.after and request.HasField("since"):
            raise errors.InvalidArgument(
                "after and since of WatchEvents exclude each other; send one of them"
            )
        after = parse_position(request.after) if request.after else None
        since = request.since.ToNanoseconds() / 1e9 if request.HasField("since") else None
        with closing(await self._events.watch(admitted, after, since)) as watcher:
            while not watcher.ended:
                portion = await watcher.take(0 if request.stored_only else EVENT_PAUSE)
                if portion.reset:
                    position, text = str(watcher.position), json.dumps({"reason": portion.reset})
                    yield pb.Event(id=position, kind="reset", json=text)
                for logged in portion.events:
                    position, happened = str(logged.position), logged.event
                    yield pb.Event(id=position, kind=happened.kind, json=happened.text)
                if request.stored_only and watcher.is_up_to_date:
                    return
            raise errors.Unavailable(
                f"the stream of events was ended ({watcher.ended}); call again with after {watcher.position}"
            )

    async def InspectEventLog(self, _request: pb.InspectEventLogRequest, _call: Call) -> pb.EventLog:
        with closing(await self._events.watch(EventFilter(), None, None)) as watcher:
            return pb.EventLog(position=str(watcher.position))

    async def ListMachine(self, _request: pb.ListMachineRequest, call: Call) -> AsyncIterator[pb.MachineInfo]:
        machines = await self._blocking(self._machines)
        on = await self._store(call).query_soon(worker_queries.by_machine)
        for machine in machines:
            workers = on.get(machine.name, ())
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
                workers=[worker_id for worker_id, _ in workers],
                pipelines=[pipeline for _, pipeline in workers],
                dollars_per_hour=rates.per_hour(machine) or 0.0,
            )
            convert.set_time(info.created, machine.created)
            yield info

    async def ListCost(self, request: pb.ListCostRequest, call: Call) -> AsyncIterator[pb.CostInfo]:
        project = request.project or names.DEFAULT_PROJECT
        filter_ = JobFilter(
            pipeline=names.PipelineName(project, request.pipeline) if request.pipeline else None,
            projects=[project],
            set_id=request.job_id,
            number=request.number or COSTS,
        )
        async with aclosing(self._ahead(costs.list_costs(self._store(call), self._specs, filter_))) as pages:
            async for page in pages:
                for cost in page:
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
        self, request: pb.ExplainPipelineRequest, call: Call
    ) -> AsyncIterator[pb.Decision]:
        name = names.PipelineName(request.project or names.DEFAULT_PROJECT, request.pipeline)
        for row in await self._store(call).query_soon(pipeline_queries.decisions, name, request.number):
            decision = pb.Decision(
                target=row.target, sentence=row.sentence, inputs_json=json.dumps(row.inputs)
            )
            convert.set_time(decision.at, row.at)
            yield decision

    async def CreateImage(self, requests: AsyncIterator[pb.CreateImageRequest], _call: Call) -> pb.ImageInfo:
        name = requirements = ""
        contents: dict[str, bytearray] = {}
        modes: dict[str, int] = {}
        size = 0
        async for request in requests:
            name, requirements = name or request.name, requirements or request.requirements
            for file in request.files:
                contents.setdefault(file.path, bytearray()).extend(file.data)
                modes[file.path] = modes.get(file.path, 0) | file.mode
                size += len(file.data) + len(file.path)
            what = f"the files of image {name!r}"
            limits.check_count(size, limits.IMAGE_BYTES, what, "put data into a repo and use it as an input")
            limits.check_count(len(contents), limits.IMAGE_FILES, what, "send fewer files")
        if not name:
            raise errors.InvalidArgument("the image has no name; set name in the first message")
        files = [(path, bytes(data), modes[path] or 0o644) for path, data in contents.items()]
        return _image_info(await self._blocking(self._images.create, name, requirements, files))

    async def ListImage(self, _request: pb.ListImageRequest, _call: Call) -> AsyncIterator[pb.ImageInfo]:
        for image in await self._blocking(self._images.list):
            yield _image_info(image)

    async def DeleteImage(self, request: pb.DeleteImageRequest, _call: Call) -> pb.DeleteImageResponse:
        await self._blocking(self._images.delete, request.name)
        return pb.DeleteImageResponse()

    async def InspectStorage(self, _request: pb.InspectStorageRequest, call: Call) -> pb.StorageInfo:
        totals = await self._store(call).query_soon(queries.storage_totals)
        return pb.StorageInfo(**totals._asdict())


def _worker_info(worker: WorkerInfo) -> pb.WorkerInfo:
    row = worker.row
    info = pb.WorkerInfo(
        id=row.id,
        project=worker.pipeline.project,
        pipeline=worker.pipeline.name,
        pipeline_version=row.version,
        state=row.state,
        reason=row.reason,
        machine=row.machine["name"] if row.machine is not None else "",
        job_id=worker.job_id,
        datum_id=worker.datum_id,
    )
    convert.set_time(info.created, row.created)
    if row.ready is not None:
        convert.set_time(info.ready, row.ready)
    return info


def _image_info(image: Image) -> pb.ImageInfo:
    return pb.ImageInfo(
        name=image.name, digest=image.hash, state=str(image.state), reason=image.reason, paths=image.files
    )
