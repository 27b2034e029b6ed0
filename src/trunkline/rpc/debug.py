"""The debug service: dumps, profiles, the installed packages, log levels; load tests are in ``load_tests``.

Dumps hold no secret; decision 71 says how. Archives are gzipped tars, sent as they are made.
"""

from __future__ import annotations

import json
import logging
import platform
import resource
import sys
import threading
from contextlib import aclosing
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING

from google.protobuf.wrappers_pb2 import BytesValue
from msgspec import Struct

from trunkline import __version__, errors
from trunkline.build_info import build_commit
from trunkline.model import names
from trunkline.model.names import PipelineName
from trunkline.pps.queries.dump import DumpReader, File
from trunkline.rpc import archives, pps_convert
from trunkline.rpc.gen import debug_pb2 as pb
from trunkline.rpc.load_tests import StoreLoadCalls
from trunkline.telemetry import profiles
from trunkline.telemetry.logs import LEVELS, ROOT, LevelOverride

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from google.protobuf.duration_pb2 import Duration

    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.spec_cache import Specs
    from trunkline.rpc.call import Call
    from trunkline.telemetry.recent import Record

_LEVELS = {
    pb.SetLogLevelRequest.DEBUG: LEVELS["debug"],
    pb.SetLogLevelRequest.INFO: LEVELS["info"],
    pb.SetLogLevelRequest.ERROR: LEVELS["error"],
    pb.SetLogLevelRequest.OFF: LEVELS["off"],
}
#: The longest time for which a level can be set, in seconds: a day.
LONGEST = 86_400.0
#: Seconds of a profile that names no duration, and of the longest one.
PROFILE, LONGEST_PROFILE = 10.0, 300.0
#: Seconds of a profile in a dump of everything.
PROFILE_IN_DUMP = 2
#: Profiles by name; the other names are Pachyderm's for the nearest thing.
_PROFILES: Mapping[str, Callable[[float, threading.Event], str]] = {
    "cpu": profiles.sample_stacks,
    "heap": profiles.count_objects,
    "threads": lambda _seconds, _stop: profiles.thread_stacks(),
}
_PROFILE_NAMES = {"allocs": "heap", "goroutine": "threads"}
#: The server as an app of a dump, and its pod.
PACHD, POD = "pachd", "server"

log = logging.getLogger("trunkline.rpc")


class Task(Struct, frozen=True):
    """A part of a dump."""

    name: str
    files: Callable[[], Iterable[File]]


class DebugServicer(StoreLoadCalls):
    """Answers ``debug_v2.Debug``."""

    def __init__(
        self,
        versions: VersionedStore,
        specs: Specs,
        executor: Executor,
        records: Iterable[Record],
        settings: Mapping[str, str],
    ) -> None:
        """Create the servicer.

        Args:
            versions: the store.
            specs: the parsed specifications.
            executor: runs blocking work.
            records: the newest log records of the server.
            settings: those of the server, for dumps.
        """
        super().__init__(versions, executor)
        self._specs = specs
        self._records = records
        self._settings = settings
        self._trunkline = LevelOverride(ROOT)
        self._grpc = LevelOverride("grpc")

    async def Dump(self, request: pb.DumpRequest, call: Call) -> AsyncIterator[BytesValue]:
        steps = self._archive(lambda: self._filtered(request.filter, self._dump(call, request.limit)))
        async with aclosing(self._ahead(steps)) as pieces:
            async for piece in pieces:
                yield BytesValue(value=piece)

    async def DumpV2(self, request: pb.DumpV2Request, call: Call) -> AsyncIterator[pb.DumpChunk]:
        if request.starlark_scripts:
            raise errors.Unimplemented(
                "starlark_scripts are programs for Pachyderm's own server; leave them out, and name what the dump"
                " shall hold in system and pipelines"
            )
        stop = threading.Event()
        tasks = await self._blocking(self._chosen, request, call, stop)
        for task in tasks:
            yield _progress(task, 0)
        finished: list[Task] = []

        def files() -> Iterator[File]:
            for task in tasks:
                yield from task.files()
                finished.append(task)

        try:
            async with aclosing(self._ahead(self._archive(files))) as pieces:
                async for piece in pieces:
                    while finished:
                        yield _progress(finished.pop(0), 1)
                    yield pb.DumpChunk(content=pb.DumpContent(content=piece))
        finally:
            stop.set()
        for task in finished:
            yield _progress(task, 1)

    async def GetDumpV2Template(
        self, _request: pb.GetDumpV2TemplateRequest, call: Call
    ) -> pb.GetDumpV2TemplateResponse:
        dump = await self._blocking(self._dump, call, 0)
        server = pb.App(name=PACHD, pods=[pb.Pod(name=POD, containers=[PACHD])])
        template = pb.DumpV2Request(input_repos=False)
        system = template.system
        system.database = system.version = True
        for apps in (system.describes, system.logs, system.binaries):
            apps.add().CopyFrom(server)
        profiled = system.profiles.add()
        profiled.CopyFrom(server)
        for profile in ("cpu", "threads"):
            profiled.profile_args.profiles.add(name=profile).duration.FromSeconds(PROFILE_IN_DUMP)
        for name in dump.pipelines:
            template.pipelines.add(project=name.project, name=name.name)
        return pb.GetDumpV2TemplateResponse(request=template)

    async def Profile(self, request: pb.ProfileRequest, _call: Call) -> AsyncIterator[BytesValue]:
        _check_server(request.filter, "Profile")
        stop = threading.Event()
        try:
            file = await self._blocking(_profile, request.profile, stop)
        finally:
            stop.set()
        for piece in self._archive(lambda: [file]):
            yield BytesValue(value=piece)

    async def Binary(self, request: pb.BinaryRequest, _call: Call) -> AsyncIterator[BytesValue]:
        _check_server(request.filter, "Binary")
        for piece in await self._blocking(lambda: list(self._archive(_packages))):
            yield BytesValue(value=piece)

    async def Trace(self, _request: pb.TraceRequest, _call: Call) -> AsyncIterator[pb.TraceChunk]:
        raise errors.Unimplemented(
            "Trace records events of Go's runtime, which this server does not have; use Profile with cpu or threads"
        )
        yield  # an async generator

    async def SetLogLevel(self, request: pb.SetLogLevelRequest, _call: Call) -> pb.SetLogLevelResponse:
        which = request.WhichOneof("level")
        number = getattr(request, which) if which else pb.SetLogLevelRequest.UNKNOWN
        if number not in _LEVELS:
            raise errors.InvalidArgument(
                "the request sets no log level; set pachyderm or grpc to DEBUG, INFO, ERROR or OFF"
            )
        seconds = _seconds(request.duration)
        if not 0 < seconds <= LONGEST:
            raise errors.InvalidArgument(
                f"a log level cannot be set for {seconds:g} s; set duration to more than 0 and at most {LONGEST:g} s"
            )
        override = self._trunkline if which == "pachyderm" else self._grpc
        override.set(_LEVELS[number], seconds)
        log.warning(
            "log level set",
            extra={"action": "log_level_set", "which": which, "level": _LEVELS[number], "duration": seconds},
        )
        return pb.SetLogLevelResponse(affected_pods=["server"])

    def close(self) -> None:
        """Restore the usual levels."""
        self._trunkline.reset()
        self._grpc.reset()

    def _dump(self, call: Call, lines: int) -> DumpReader:
        return DumpReader(self._store(call), self._specs, self._records, max(0, lines))

    def _archive(self, files: Callable[[], Iterable[File]]) -> Generator[bytes]:
        # The files are looked up in the thread that takes the first piece.
        yield from archives.tar_gz(files(), self._versions.clock.now())

    def _filtered(self, chosen: pb.Filter, dump: DumpReader) -> Iterator[File]:
        """Yield the files of a dump of the first version."""
        kind = chosen.WhichOneof("filter")
        if kind == "worker":
            raise errors.InvalidArgument(
                "a dump of one worker is not possible; use the filter pipeline, or none: workers are in every dump"
            )
        if kind in (None, "pachd"):
            yield from self._server(dump)
            yield from dump.server_log()
            yield from dump.workers()
        if kind in (None, "database"):
            yield from dump.database()
        pipelines: Iterable[PipelineName] = dump.pipelines if kind is None else ()
        if kind == "pipeline":
            pipelines = [pps_convert.pipeline_name(chosen.pipeline)]
        for name in pipelines:
            yield from dump.pipeline(name)

    def _chosen(self, request: pb.DumpV2Request, call: Call, stop: threading.Event) -> list[Task]:
        """Return the parts of a dump of the second version; its profiles end early when ``stop`` is set."""
        system = request.system
        lines = max((app.loki_args.max_logs for app in system.loki_logs), default=0)
        dump = self._dump(call, lines)
        tasks: list[Task] = []
        if system.version or system.helm:
            tasks.append(Task("server", partial(self._server, dump)))
        if system.database:
            tasks.append(Task("database", dump.database))
        if system.describes:
            tasks.append(Task("workers", dump.workers))
        if system.logs or system.loki_logs:
            tasks.append(Task("logs", dump.server_log))
        if system.binaries:
            tasks.append(Task("packages", _packages))
        profiles = [profile for app in system.profiles for profile in app.profile_args.profiles]
        _check_total(profiles)
        tasks += [Task(f"profile {each.name}", partial(_profile_files, each, stop)) for each in profiles]
        for pipeline in request.pipelines:
            name = PipelineName(pipeline.project or names.DEFAULT_PROJECT, pipeline.name)
            tasks.append(Task(f"pipeline {name}", partial(dump.pipeline, name)))
        return tasks

    def _server(self, dump: DumpReader) -> Iterator[File]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        values = {
            "version": __version__, "commit": build_commit(), "python": sys.version,
            "platform": platform.platform(), "threads": threading.active_count(),
            "user_seconds": used.ru_utime, "system_seconds": used.ru_stime, "peak_memory_kib": used.ru_maxrss,
        }  # fmt: skip
        yield File("server/version.json", json.dumps(values, indent=2).encode())
        settings = {name: dump.redactor.text(value) for name, value in self._settings.items()}
        yield File("server/settings.json", json.dumps(settings, indent=2).encode())


def _progress(task: Task, done: int) -> pb.DumpChunk:
    return pb.DumpChunk(progress=pb.DumpProgress(task=task.name, total=1, progress=done))


def _check_server(chosen: pb.Filter, what: str) -> None:
    """Refuse a filter for anything but the server."""
    if chosen.WhichOneof("filter") not in (None, "pachd"):
        raise errors.Unimplemented(f"{what} is for the server alone; send the filter pachd, or none")


def _profile(profile: pb.Profile, stop: threading.Event) -> File:
    """Make a profile. Blocks.

    Raises:
        InvalidArgument: its name or its duration is not valid.
    """
    name, seconds = _profile_name(profile), _profile_seconds(profile)
    return File(f"{PACHD}/{POD}/{name}.txt", _PROFILES[name](seconds, stop).encode())


def _profile_name(profile: pb.Profile) -> str:
    name = _PROFILE_NAMES.get(profile.name, profile.name) or "cpu"
    if name not in _PROFILES:
        raise errors.InvalidArgument(
            f"profile {profile.name!r} is not known; use one of {', '.join(_PROFILES)}"
        )
    return name


def _profile_seconds(profile: pb.Profile) -> float:
    seconds = _seconds(profile.duration) if profile.HasField("duration") else PROFILE
    if not 0 < seconds <= LONGEST_PROFILE:
        raise errors.InvalidArgument(
            f"a profile cannot take {seconds:g} s; set duration to more than 0 and at most {LONGEST_PROFILE:g} s"
        )
    return seconds


def _check_total(profiles: Sequence[pb.Profile]) -> None:
    """Refuse the profiles of a dump, which are made one after the other, before anything is sent.

    Raises:
        InvalidArgument: one of them is not valid, or they take too long together.
    """
    for profile in profiles:
        _profile_name(profile)
    total = sum(map(_profile_seconds, profiles))
    if total > LONGEST_PROFILE:
        raise errors.InvalidArgument(
            f"the {len(profiles)} profiles of this dump take {total:g} s together; at most {LONGEST_PROFILE:g} s are"
            " possible: set shorter durations, or send several requests"
        )


def _profile_files(profile: pb.Profile, stop: threading.Event) -> Iterator[File]:
    yield _profile(profile, stop)


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def _packages() -> Iterator[File]:
    """Yield what is installed instead of a binary: versions of the program, Python and all packages."""
    installed = sorted({f"{each.name}=={each.version}" for each in metadata.distributions()})
    program = f"trunkline {__version__} {build_commit()}\npython {sys.version}\n"
    yield File(f"{PACHD}/{POD}/packages.txt", (program + "\n".join(installed) + "\n").encode())
