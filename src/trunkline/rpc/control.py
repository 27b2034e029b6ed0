"""What Trunkline offers beyond the Pachyderm API (``protos/trunkline/control/control.proto``)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from trunkline import errors
from trunkline.meta import chunks, jobs, pipelines, workers
from trunkline.model import names
from trunkline.pps import pipelines as pipeline_ops
from trunkline.pps import rows
from trunkline.rpc import convert
from trunkline.rpc.gen import control_pb2 as pb
from trunkline.rpc.parts import Part
from trunkline.storage.segments import TreeId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from concurrent.futures import Executor

    import sqlalchemy as sa

    from trunkline.pfs.versions import Versions

#: Decisions told when the request does not say how many.
DECISIONS = 20
#: Bytes of files that an image may bring; data belongs in repos.
IMAGE_LIMIT = 256 << 20


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


class ControlServicer(Part):
    """Answers ``trunkline.control.v1.Control``."""

    def __init__(self, versions: Versions, images: Images, executor: Executor) -> None:
        super().__init__(versions, executor)
        self._images = images

    async def ListWorker(self, request: pb.ListWorkerRequest, _context: Any) -> AsyncIterator[pb.WorkerInfo]:
        for info in await self._blocking(
            self._versions.read, self._workers, request.project, request.pipeline
        ):
            yield info

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
            if size > IMAGE_LIMIT:
                raise errors.InvalidArgument(
                    f"image {name!r} brings more than {IMAGE_LIMIT >> 20} MiB of files; put data into a repo"
                    " and let it be an input"
                )
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
        found = rows.trees(self._versions).rows(TreeId(job.todo), at, at + 1)
        if found:
            info.datum_id = found[0][0].hex()


def _told(image: Image) -> pb.ImageInfo:
    return pb.ImageInfo(
        name=image.name, digest=image.hash, state=str(image.state), reason=image.reason, paths=image.files
    )
