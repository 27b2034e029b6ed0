"""Chooses the drivers behind the ports; nothing else knows the drivers.

Libraries that only some servers need are imported when their driver is chosen.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from msgspec import Struct

from trunkline import errors
from trunkline.app.clock import SystemClock
from trunkline.drivers.fleets import command_groups
from trunkline.drivers.fleets.joined import JoinedMachines
from trunkline.drivers.fleets.process import ProcessFleet
from trunkline.drivers.objects.local import LocalObjects
from trunkline.drivers.outbound.client import OutboundClient
from trunkline.meta.database import sqlite_url
from trunkline.meta.dialects import checked_url
from trunkline.model.outbound import Rules
from trunkline.pfs import identity, store_format
from trunkline.ports import ServerAddress
from trunkline.runtime import open_files
from trunkline.runtime.listening import UNIX, Listeners

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trunkline.app.settings import Settings
    from trunkline.app.tls import ServerTls
    from trunkline.drivers.fleets.containers.containers import Containers
    from trunkline.drivers.fleets.images import ImageEnvironments
    from trunkline.model.port_limits import PortLimits
    from trunkline.model.spec import PipelineSpec
    from trunkline.model.workers import WorkerSpec
    from trunkline.ports import Fleet, HttpServer, ObjectStore, Secrets, ServicePublisher, WorkerIdentity
    from trunkline.runtime.certificates import Files
    from trunkline.runtime.supervision import Supervisor

log = logging.getLogger("trunkline.app")


def database_url(settings: Settings) -> str:
    """Return the URL of the database, with the driver that is used for it.

    Raises:
        InvalidArgument: the URL does not name a supported database.
        FailedPrecondition: the driver for it is not installed.
    """
    return checked_url(settings.database) if settings.database else sqlite_url(settings.data.absolute())


def objects(settings: Settings) -> ObjectStore:
    """Return the object store.

    Raises:
        InvalidArgument: the URL does not name a supported store.
        PermissionDenied: the server lacks a permission in it.
        FailedPrecondition: the bucket does not exist, or cannot protect objects from being replaced.
        Unavailable: it does not answer.
    """
    url = settings.store
    if not url:
        return _folder(settings.data.absolute() / "objects")
    if url in ("memory:", "memory://"):
        from trunkline.drivers.objects.memory import MemoryObjects

        return MemoryObjects()
    if url.startswith("file:///"):
        return _folder(Path(unquote(url.removeprefix("file://"))))
    scheme = url.partition("://")[0]
    if scheme not in ("s3", "gs", "az"):
        raise errors.InvalidArgument(
            f"--store {url!r} is not supported; use s3://bucket/prefix, gs://bucket/prefix,"
            " az://container/prefix, file:///folder or memory:, or leave it out for a folder in --data"
        )
    from trunkline.drivers.objects import buckets

    buckets.BucketObjects(url, patience=buckets.PATIENCE_AT_START).check()
    return buckets.BucketObjects(url)


def _folder(path: Path) -> LocalObjects:
    """Return the objects in a folder. This server alone writes to it: it holds the database's writer lease."""
    local = LocalObjects(path)
    if any(
        (path / key).exists() for key in (store_format.KEY, identity.KEY)
    ):  # a folder of other files is refused
        local.remove_temporary()
    return local


def outbound(settings: Settings) -> OutboundClient:
    """Return the client for what clients name by URLs.

    Raises:
        InvalidArgument: a rule is not valid.
    """
    return OutboundClient(Rules(settings.outbound, settings.store))


def secret_keys(settings: Settings) -> Callable[[], Sequence[bytes]]:
    """Return what gives the keys that seal secrets.

    Raises:
        InvalidArgument: the setting is not valid.
        FailedPrecondition: it names no keys.
    """
    from trunkline.drivers import secret_keys as driver

    load = functools.partial(driver.load, settings.secrets_key, settings.data.absolute())
    if not settings.secrets_key:
        return load  # the file in the data folder is made when it is needed
    keys = load()
    return lambda: keys


def http_server(settings: Settings, tls: Files | None = None) -> HttpServer:
    """Return the server that runs the ASGI application, listening.

    Args:
        settings: of the server.
        tls: certificate and key; None for connections without TLS.

    Raises:
        InvalidArgument: there is no such server, or an address is not valid.
        Unavailable: an address cannot be listened on.
    """
    if settings.http_server == "h2corn":
        from trunkline.drivers.http.h2corn_server import H2cornServer

        return H2cornServer(
            Listeners(settings.listen),
            _possible(settings.limits),
            settings.log_format,
            tls,
            settings.trust_proxies,
        )
    if settings.http_server != "hypercorn":
        raise errors.InvalidArgument(
            f"--http-server {settings.http_server} is not supported; use h2corn or hypercorn"
        )
    try:
        from trunkline.drivers.http.hypercorn_server import HypercornServer
    except ModuleNotFoundError as error:
        raise errors.InvalidArgument(
            '--http-server hypercorn needs the extra "hypercorn", which is not installed; in a clone:'
            " pip install '.[hypercorn]'"
        ) from error
    return HypercornServer(Listeners(settings.listen), settings.limits, tls, settings.trust_proxies)


def _possible(limits: PortLimits) -> PortLimits:
    """Return the limits with as many connections as the limit of open files allows; a quarter is for other files."""
    limit = limits.connections
    files = open_files.limit()
    allowed = files * 3 // 4
    if allowed < limit:
        log.warning(
            "this process may open %d files, so that it serves %d connections at a time instead of %d;"
            " raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd) or lower --limit connections",
            files, allowed, limit, extra={"action": "connections_limited"},
        )  # fmt: skip
    return replace(limits, connections=min(limit, allowed))


def hidden(settings: Settings) -> list[str]:
    """Return the folders that commands and builds of images must not see."""
    folders = [settings.data]
    if settings.store.startswith("file:///"):
        folders.append(Path(unquote(settings.store.removeprefix("file://"))))
    return [str(folder.resolve()) for folder in folders]


def _never(spec: PipelineSpec) -> bool:
    del spec
    return False


class FleetDrivers(Struct, frozen=True):
    """A fleet with its secrets and worker identities."""

    fleet: Fleet
    #: Where secrets for its workers are kept; None when the fleet keeps none.
    secrets: Secrets | None = None
    #: Verifies its workers; None when they use tokens that the server issues.
    identity: WorkerIdentity | None = None
    #: What machines join; None when they cannot.
    joined: JoinedMachines | None = None
    #: Whether the commands of a pipeline run in a container of the image that it names.
    runs_image: Callable[[PipelineSpec], bool] = _never
    #: Publishes the ports of services; None when workers do so themselves.
    services: ServicePublisher | None = None


def fleet(
    settings: Settings,
    address: str,
    tls: ServerTls | None,
    images: ImageEnvironments,
    cluster_id: str,
    supervisor: Supervisor,
) -> FleetDrivers:
    """Return the fleet with its secrets and worker identities.

    Args:
        settings: of the server.
        address: where the server listens.
        tls: the server's certificate; None without TLS.
        images: environments for image names on a fleet of processes; pods run real images.
        cluster_id: identity of this installation, with which it recognises its workers.
        supervisor: runs the fleet's background services.

    Raises:
        InvalidArgument: the fleet is unknown, or a setting is missing.
        FailedPrecondition: the cluster is not ready for workers.
        Unavailable: the cluster does not answer.
    """
    if settings.fleet in ("processes", "containers", "auto"):
        _check_visible(settings.advertise or address, hidden(settings))
        folder = settings.data.absolute() / "fleet"
        containers = None if settings.fleet == "processes" else _containers(settings, images, cluster_id)
        processes = ProcessFleet(
            _server(settings.advertise or address, tls),
            folder,
            images,
            settings.capacity_memory,
            supervisor,
            hidden(settings),
            command_groups.use_own(),
            containers,
        )
        threading.Thread(target=processes.report_isolation, name="isolation-check", daemon=True).start()
        runs_image = _never if containers is None else containers.runs
        if settings.simulate:
            return FleetDrivers(_simulated(processes, settings), runs_image=runs_image)

        def needs_server(spec: WorkerSpec) -> bool:
            pipeline = spec.pipeline_spec
            # Clients reach services, and spouts the server, at this machine.
            at_server = pipeline.service is not None or pipeline.spout is not None
            return at_server or runs_image(pipeline) or images.resolve(spec.image) is not None

        joined = JoinedMachines(processes, SystemClock(), needs_server)
        return FleetDrivers(joined, joined=joined, runs_image=runs_image)
    if settings.simulate:
        raise errors.InvalidArgument(
            "--simulate needs workers that are processes; leave out --fleet kubernetes"
        )
    if settings.fleet == "kubernetes":
        return _kubernetes(settings, address, tls, cluster_id, supervisor)
    raise errors.InvalidArgument(
        f"--fleet {settings.fleet!r} is not supported; use processes, containers, auto or kubernetes"
    )


def _containers(settings: Settings, images: ImageEnvironments, cluster_id: str) -> Containers:
    try:
        from trunkline.drivers.fleets.containers import containers, engine
    except ModuleNotFoundError as error:
        raise errors.InvalidArgument(
            f'--fleet {settings.fleet} needs the extra "containers", which is not installed; in a clone:'
            " pip install '.[containers]'"
        ) from error
    if settings.launcher is None:
        raise errors.InvalidArgument(
            f"--fleet {settings.fleet} needs --launcher FILE, the program that starts commands in containers; build it"
            " with scripts/launcher FILE"
        )
    return containers.Containers(
        engine.Engine(engine.find_engine(os.environ), containers.THREADS),
        settings.launcher,
        cluster_id,
        settings.fleet,
        None if settings.fleet == "containers" else lambda name: images.resolve(name) is not None,
    )


def _simulated(fleet: Fleet, settings: Settings) -> Fleet:
    from trunkline.app.simulation import simulated

    try:
        return simulated(fleet, settings.simulate, settings.speed, SystemClock())
    except BaseException:
        fleet.close(0.0)
        raise


def _server(address: str, tls: ServerTls | None) -> ServerAddress:
    """Return how workers reach the server at an address."""
    if tls is None or address.startswith(UNIX):
        return ServerAddress(address)
    host = address.rpartition(":")[0].strip("[]")
    return ServerAddress(f"grpcs://{address}", str(tls.trusted), tls.name_for(host))


def _check_visible(address: str, folders: Sequence[str]) -> None:
    """Check that workers, to which some folders are hidden, can use the address.

    Raises:
        InvalidArgument: it is a Unix socket in such a folder.
    """
    path = Path(os.path.realpath(address.removeprefix(UNIX)))
    if address.startswith(UNIX) and any(path.is_relative_to(folder) for folder in folders):
        raise errors.InvalidArgument(
            f"workers cannot connect to {address}, because the folder of the server's data is hidden from them;"
            " put the socket into another folder, or add --listen 127.0.0.1:0 for them"
        )


def _kubernetes(
    settings: Settings, address: str, tls: ServerTls | None, cluster_id: str, supervisor: Supervisor
) -> FleetDrivers:
    if not settings.worker_image:
        raise errors.InvalidArgument(
            "--fleet kubernetes needs --worker-image IMAGE, the image of Trunkline's own containers in pods"
        )
    host = (settings.advertise or address).rpartition(":")[0].strip("[]")
    local = host in ("", "0.0.0.0", "::", "localhost") or host.startswith("127.") or address.startswith(UNIX)
    if local and not settings.advertise:
        raise errors.InvalidArgument(
            f"workers in pods cannot reach {address}; name an address that they reach with --advertise HOST:PORT"
        )
    from trunkline.drivers.fleets.kubernetes import worker_config
    from trunkline.drivers.fleets.kubernetes.client import Connection
    from trunkline.drivers.fleets.kubernetes.fleet import KubernetesFleet
    from trunkline.drivers.fleets.kubernetes.pod_identity import PodIdentity
    from trunkline.drivers.fleets.kubernetes.pods import PodSettings, WorkerConfig
    from trunkline.drivers.fleets.kubernetes.secrets import KubernetesSecrets
    from trunkline.drivers.fleets.kubernetes.services import KubernetesServices

    server = _server(settings.advertise or address, tls)
    connection = Connection(settings.namespace, supervisor=supervisor)
    try:
        config_map = os.environ.get("TRUNKLINE_WORKER_CONFIG", "")
        pods = PodSettings(
            cluster=cluster_id,
            namespace=connection.namespace,
            # Pods that run see no new certificate: they trust its CA, or else those of their image.
            server=server if tls is None or tls.has_ca else server._replace(ca=""),
            worker_image=settings.worker_image,
            config=worker_config.read(connection, config_map) if config_map else WorkerConfig(),
        )
        fleet = KubernetesFleet(connection, pods, supervisor)
        identity = PodIdentity(connection, fleet.cache, connection.namespace)
    except BaseException:
        connection.close()
        raise
    return FleetDrivers(
        fleet,
        KubernetesSecrets(connection),
        identity,
        runs_image=lambda _spec: True,
        services=KubernetesServices(connection, pods),
    )
