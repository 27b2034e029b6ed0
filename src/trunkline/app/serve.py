"""Runs a server with its settings, and defines the order of start and stop; ``composition`` connects its parts.

Start: lock the data folder, wait until no other server writes to the database, listen, then start the controller.
Stop (``stopping``): no new work is assigned, workers finish their datum or return it, calls end, the database
closes. The next start continues interrupted work, because all state is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import logging
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from msgspec import Struct

from trunkline import __version__, errors
from trunkline.app import composition, data_folder, drivers
from trunkline.app.announcement import announce
from trunkline.app.clock import SystemClock
from trunkline.app.probes import ProbeApplication, Readiness
from trunkline.app.stopping import Stop
from trunkline.drivers.fleets.images import ImageEnvironments
from trunkline.linux import libc
from trunkline.meta.database import Database
from trunkline.meta.wakeups import Wakeups
from trunkline.pfs.store_log import StoreLog
from trunkline.pfs.write_sessions import WriteSessions
from trunkline.pps.alert_watch import AlertWatch
from trunkline.pps.controller import Controller
from trunkline.pps.conversion.installation import open_installation
from trunkline.pps.egress import Egresses
from trunkline.pps.published_services import PublishedServices
from trunkline.pps.queries import worker_queries
from trunkline.pps.retention import Retention, RetentionService
from trunkline.pps.secrets import SecretStore
from trunkline.pps.stored_secrets import StoredSecrets
from trunkline.rpc.asgi.events import EventsApplication
from trunkline.rpc.asgi.files import FilesApplication
from trunkline.rpc.asgi.server import Server
from trunkline.rpc.callers import TokenCallers
from trunkline.rpc.console_server import ServerFacts
from trunkline.rpc.debug import DebugServicer
from trunkline.rpc.logs import LogsServicer
from trunkline.runtime import cancellation, failpoints, listening, open_files
from trunkline.runtime.supervision import ServiceLost, ServiceState, Supervisor
from trunkline.runtime.threads import FairExecutor
from trunkline.telemetry import events, logs, tracing
from trunkline.telemetry.recent import recent_records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from trunkline.app.settings import Settings
    from trunkline.app.tls import ServerTls
    from trunkline.pfs.repository import VersionedStore
    from trunkline.ports import Clock, Fleet, ObjectStore
    from trunkline.rpc.asgi.types import Application
    from trunkline.telemetry.metrics import Metrics

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("trunkline.app")

# Every thread that reads uses a connection to the database: docs/operate/databases-stores.md counts them.
#: Threads for blocking work of requests and pipelines. They mostly wait for the disk or for each other's GIL.
BLOCKING_THREADS = 32
#: Maximum number of them for one connection at a time, so that others get one.
LANE_SHARE = 8
#: Further threads for the calls that keep workers' leases alive.
CONTROL_THREADS = 4
#: Seconds that workers have to finish their datum when the server stops.
DRAIN_GRACE = 10.0
#: Seconds after which Python switches between computing threads. The default of 5 ms would be added to a request at
#: each change of thread while, for example, a large upload is split into chunks.
SWITCH_INTERVAL = 0.0005
#: Arenas of the C library's memory. By default there are eight for each processor, and what a burst of transfers has
#: freed in one of them serves no thread of another: twice the memory for a percent of time.
ARENAS = 2
#: Seconds between two checks whether the active server has ended.
LEASE_POLL = 0.3
#: The value of ``metrics`` that serves them on the port of the API alone.
METRICS_ON_PORT = "on"
#: Seconds that blocking work (plans, merges, decoding) has to end when nobody waits for it any more.
THREAD_GRACE = 3.0


class RunningServer(Struct, frozen=True):
    """A server that accepts calls."""

    #: HOST:PORT where it listens.
    address: str
    versions: VersionedStore
    #: File with the certificates that clients must trust; None for a server without TLS.
    trusted: Path | None = None


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    superseded: Callable[[str], None] = log.error,
    lost: Callable[[str], None] = log.critical,
    *,
    clock: Clock | None = None,
    objects: ObjectStore | None = None,
    fleet: Fleet | None = None,
) -> AsyncIterator[RunningServer]:
    """Serve while the context is open. Waits while another server is active on the same database.

    Args:
        settings: of the server.
        superseded: called from a thread, with a message, when another server has taken over or the
            database's file is gone; nothing can be written from then on, and the caller must leave the context.
        lost: called from a thread, with a message, when a service is lost; the caller must leave the context.
        clock: the time; None for the machine's.
        objects: where packs are stored; None for the object store that the settings name.
        fleet: runs workers; None for the fleet that the settings name. Closed with the context.

    Raises:
        FailedPrecondition: another server has the data folder, a newer one wrote it, or everybody who reaches the
            address could use it.
        Unavailable: the address or the folder cannot be used.
    """
    _check_exposure(settings)
    data = settings.data.absolute()  # workers have another working directory
    supervisor = Supervisor(lost)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(data_folder.locked(data))
        counted = stack.enter_context(_counting()) if settings.metrics else None
        clock = clock or SystemClock()
        stack.push_async_callback(asyncio.to_thread, _export_traces(supervisor))
        wakeups = Wakeups(asyncio.get_running_loop())
        db = Database(drivers.database_url(settings), wakeups.announce, superseded, supervisor)
        stack.callback(db.close)
        await _turn(db, settings.takeover_seconds)
        objects = objects or drivers.objects(settings)
        outbound = drivers.outbound(settings)
        cluster_id = await _in_thread(open_installation, db, objects, clock.now())
        core = composition.core(db, objects, wakeups, clock, str(data), verify_packs=settings.verify_packs)
        versions = core.versions
        stack.callback(versions.chunks.close)
        store_log = StoreLog(versions, core.index, cluster_id, settings.store_lag)
        # Stopped before the objects that its threads use.
        executor = FairExecutor(BLOCKING_THREADS, control=CONTROL_THREADS, share=LANE_SHARE)
        stack.callback(_shut_down, executor)
        images = ImageEnvironments(
            data / "images", drivers.hidden(settings), sources=settings.source_packages
        )
        stack.callback(images.close)
        tls = await asyncio.to_thread(_tls, settings, clock)
        # It listens already: workers need its address.
        http = drivers.http_server(settings, None if tls is None else tls.files)
        hosts = list(settings.allow_hosts)
        if settings.advertise:
            hosts.append(settings.advertise.rpartition(":")[0].strip("[]"))
        server = Server(http, hosts, settings.allow_origins, settings.limits)
        stack.push_async_callback(asyncio.to_thread, store_log.close)  # after the last call
        stack.push_async_callback(server.stop, settings.limits.stop_grace)
        supervisor.report_to(functools.partial(_report, server))
        stack.callback(supervisor.report_to, None)
        fleet_drivers = (
            drivers.FleetDrivers(fleet)
            if fleet is not None
            else await asyncio.to_thread(
                drivers.fleet, settings, server.address, tls, images, cluster_id, supervisor
            )
        )
        stack.push_async_callback(asyncio.to_thread, fleet_drivers.fleet.close, DRAIN_GRACE)
        if fleet_drivers.joined is not None:
            fleet_drivers.joined.expect(await versions.query_soon(worker_queries.on_joined))
        stored = StoredSecrets(versions, drivers.secret_keys(settings))
        if fleet_drivers.secrets is None:
            await asyncio.to_thread(stored.seal_again)
        secrets = SecretStore(fleet_drivers.secrets or stored)
        egresses = Egresses(outbound, secrets)
        controller = Controller(
            versions,
            core.specs,
            fleet_drivers.fleet,
            executor,
            supervisor,
            core.waiting,
            core.renewals,
            egresses,
        )
        retention = Retention(
            days=settings.keep_days,
            log_bytes=settings.keep_log_bytes,
            event_bytes=settings.keep_event_bytes,
        )
        controller.services["retention"] = RetentionService(versions, core.specs, retention).run
        if fleet_drivers.services is not None:
            published = PublishedServices(versions, core.specs, fleet_drivers.services, executor)
            controller.services["services"] = published.run
            controller.obstacles = published.problems
        controller.services["alerts"] = AlertWatch(versions, core.specs).run
        recent = stack.enter_context(recent_records())
        texts = {name: str(getattr(settings, name)) for name in settings.__struct_fields__}
        debug = DebugServicer(versions, core.specs, executor, recent, texts)
        stack.callback(debug.close)
        servicers = composition.servicers(
            core,
            controller,
            executor,
            fleet_drivers,
            images,
            cluster_id,
            outbound,
            secrets,
            egresses,
            recent,
            _facts(settings, server.address, clock.now()),
        )
        readiness = Readiness(supervisor, functools.partial(_check_ready, versions))
        probes = ProbeApplication(readiness)
        mounts: dict[str, Application] = {"livez": probes, "readyz": probes}
        if counted is not None:
            monitored = _monitored(settings.metrics, counted, readiness, supervisor, versions, store_log)
            mounts["metrics"] = await stack.enter_async_context(monitored)
        event_streams = EventsApplication(core.events, clock, settings.limits)
        servicers["debug_v2.Debug"] = debug
        servicers["logs.API"] = LogsServicer(versions, executor, recent)
        raw_files = functools.partial(FilesApplication, versions, executor)
        await server.serve(servicers, mounts, event_streams, TokenCallers(versions), raw_files)
        loops = asyncio.create_task(controller.run(), name="controller")
        stack.push_async_callback(_cancelled, loops)
        sessions = WriteSessions(versions)
        services = {"write-sessions": sessions.run, "store-log": store_log.run}
        if settings.openlineage:
            from trunkline.app import lineage

            services["openlineage"] = lineage.sender(settings, core, cluster_id, executor).run
        if tls is not None:
            services["certificate"] = functools.partial(tls.watch, http)
        await stack.enter_async_context(supervisor.running(services))
        yield RunningServer(server.address, versions, None if tls is None else tls.trusted)


def _facts(settings: Settings, address: str, started: float) -> ServerFacts:
    """Return what the console shows of the settings.

    Args:
        settings: of the server.
        address: where it listens first.
        started: when, in seconds since 1970.
    """
    return ServerFacts(
        started=started,
        address=address,
        data_folder=str(settings.data),
        database=settings.database,
        store=settings.store,
        fleet=settings.fleet,
        simulated=settings.simulate,
        keep_days=settings.keep_days,
        keep_log_bytes=settings.keep_log_bytes,
        keep_event_bytes=settings.keep_event_bytes,
        port=settings.limits,
    )


def _tls(settings: Settings, clock: Clock) -> ServerTls | None:
    """Return the certificate of the settings, checked. Only a server that has one loads the library for it."""
    if not (settings.tls or settings.tls_cert or settings.tls_key or settings.tls_ca):
        return None
    from trunkline.app import tls

    return tls.of_settings(settings, clock)


@contextlib.contextmanager
def _counting() -> Iterator[Metrics]:
    """Count events while the context is open. Only a server that serves metrics loads the library for them."""
    from trunkline.build_info import build_commit
    from trunkline.telemetry.metrics import Metrics

    counted = Metrics(__version__, build_commit())
    events.count_in(counted)
    try:
        yield counted
    finally:
        events.count_in(None)


@contextlib.asynccontextmanager
async def _monitored(
    listen: str,
    counted: Metrics,
    readiness: Readiness,
    supervisor: Supervisor,
    versions: VersionedStore,
    store_log: StoreLog,
) -> AsyncIterator[Application]:
    """Give the application for metrics; serve them on an address of their own too while the context is open.

    Args:
        listen: the address; ``on`` for none.
        counted: the metrics.
        readiness: of the server, for the probes at the address.
        supervisor: runs what serves the address.
        versions: what gauges are read from.
        store_log: whose age is a gauge.
    """
    from trunkline.app.monitoring import MetricsApplication, MonitoringServer, StateCollector

    counted.registry.register(StateCollector(versions, store_log))
    application = MetricsApplication(counted.registry)
    if listen == METRICS_ON_PORT:
        yield application
        return
    monitoring = MonitoringServer(listen, counted.registry, readiness, supervisor)
    log.info("monitoring", extra={"action": "monitoring", "address": monitoring.address})
    try:
        yield application
    finally:
        await asyncio.to_thread(monitoring.close)


def _export_traces(supervisor: Supervisor) -> Callable[[], None]:
    """Export traces when the standard variables ask for it; return what ends that."""
    if not tracing.is_asked_for(os.environ):
        return lambda: None
    try:
        tracer = tracing.Tracer(os.environ, events.spans_exported)
    except errors.FailedPrecondition as error:
        log.warning("%s", error.message, extra={"action": "traces_off"})
        return lambda: None
    tracer.start(supervisor.thread)
    tracing.install(tracer)

    def end() -> None:
        tracing.install(None)
        tracer.close()

    return end


def _report(server: Server, service: str, state: ServiceState) -> None:
    """Report the state of a background service to the health service and the metrics."""
    server.report(service, state)
    events.service_changed(service, running=state is ServiceState.RUNNING)


def _check_ready(versions: VersionedStore) -> None:
    """Check that the database and the object store can be used.

    Raises:
        TrunklineError: one of them cannot.
    """
    versions.db.check()
    with contextlib.suppress(errors.NotFound):  # the store answers, which is enough
        versions.chunks.objects.get("packs/00/none", 0, 1)


async def _turn(db: Database, takeover_seconds: float) -> None:
    """Wait until no other server writes to the database, or take over from one without progress for so long."""
    reported = ""
    while holder := await asyncio.to_thread(db.open, takeover_seconds):
        if holder != reported:
            log.warning("waiting: %s; this one takes over when that one ends", holder)
            reported = holder
        await asyncio.sleep(LEASE_POLL)
    if reported:
        log.warning("taking over: no other server is active any more")


def _check_exposure(settings: Settings) -> None:
    """Refuse an address that other machines reach unless the user allows it: there are no users and passwords yet.

    Raises:
        InvalidArgument: an address is not valid.
        FailedPrecondition: one is not local, and ``insecure`` is not set.
    """
    for listen in settings.listen:
        if listen.startswith(listening.UNIX):
            continue
        host = listening.parse(listen)[0].strip("[]")
        try:
            local = ipaddress.ip_address(host).is_loopback
        except ValueError:
            local = host == "localhost"
        if local:
            continue
        danger = (
            f"everybody who reaches {listen} can read and change all data and run commands as this server's"
            " user, because Trunkline has no users and passwords yet"
        )
        if not settings.insecure:
            raise errors.FailedPrecondition(
                f"--listen {listen} is refused: {danger}; listen on 127.0.0.1, or add --insecure where a"
                " firewall or network policy admits only those who may"
            )
        log.warning("--insecure: %s", danger)


def _shut_down(executor: FairExecutor) -> None:
    """Drop queued work and give running work a few seconds to end."""
    ending = threading.Thread(
        target=functools.partial(executor.shutdown, cancel_futures=True), name="shutdown", daemon=True
    )
    ending.start()
    ending.join(THREAD_GRACE)


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run work in a thread; when this is cancelled, cancel the work and wait until it has ended."""
    scope = cancellation.Scope()
    with ThreadPoolExecutor(1, "start") as executor:
        try:
            return await asyncio.wrap_future(scope.submit(executor, work, *args, **kwargs))
        finally:
            scope.cancel()


async def _cancelled(task: asyncio.Future[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def serve(settings: Settings, exit_code: Callable[[errors.TrunklineError], int]) -> Stop:
    """Serve until the stop; prints its address when the server is ready.

    Args:
        settings: of the server.
        exit_code: returns the code with which an error ends the process.

    Returns:
        The stop, with its reason.
    """
    stop = Stop(exit_code)
    stop.listen()

    async with contextlib.AsyncExitStack() as stack:
        context = running(
            settings,
            superseded=lambda sentence: stop.begin(errors.Unavailable(sentence)),
            lost=lambda sentence: stop.begin(ServiceLost(sentence)),
        )
        starting = asyncio.ensure_future(stack.enter_async_context(context))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():  # it still waits for another server
            await _cancelled(starting)
            return stop
        server = await starting
        announce(sys.stdout, server.address, settings.data, trusted=server.trusted)
        await stopping
        log.info("stopping")
    return stop


def main(settings: Settings, exit_code: Callable[[errors.TrunklineError], int]) -> None:
    """Serve in the foreground; returns after an orderly stop.

    Args:
        settings: of the server.
        exit_code: returns the code with which an error ends the process.

    Raises:
        ServiceLost: a part of the server ended for good.
        Unavailable: another server has taken over, or something that is needed does not answer.
    """
    logs.set_up(settings.log_level, settings.log_format, access=settings.access_log, stream=sys.stderr)
    failpoints.arm_from_environment()
    os.umask(0o077)  # stored files are private
    open_files.raise_limit()
    libc.hide_memory()  # its environment may hold the secrets of the store and the database
    libc.share_arenas(ARENAS)
    sys.setswitchinterval(SWITCH_INTERVAL)
    stop = asyncio.run(serve(settings, exit_code))
    stop.finish()
    if stop.error is not None:
        raise stop.error
