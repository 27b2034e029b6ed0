"""The containers of workers (docs/design/fleets.md): opened after a worker was admitted, removed after it has ended.

Calls of the engine take long, so threads of a pool make them; the fleet looks at what they have reached when it is
woken. Each image is pulled once, whoever waits for it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto
from typing import TYPE_CHECKING

from trunkline.drivers.fleets.containers.container_fields import UNSUPPORTED, without_devices
from trunkline.drivers.fleets.containers.engine import ContainerRequest, EngineError
from trunkline.drivers.fleets.containers.secret_folders import SecretFolders
from trunkline.errors import FailedPrecondition
from trunkline.model.quantities import parse_bytes
from trunkline.model.spec import DEFAULT_IMAGE
from trunkline.runtime.supervision import describe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trunkline.drivers.fleets.containers.engine import ContainerEnd, Engine
    from trunkline.model.spec import PipelineSpec
    from trunkline.model.workers import WorkerSpec

log = logging.getLogger("trunkline.fleet")

#: Threads that call the engine: enough to start the workers of a burst side by side, without starving two cores.
THREADS = 4
CLUSTER_LABEL, WORKER_LABEL = "trunkline.dev/cluster", "trunkline.dev/worker"
#: How often the engine starts a container again that a command has brought down.
RESTARTS = 3
#: Where the launcher and its socket are in a container.
_LAUNCHER = "/launcher/launcher"
_SOCKET = "/launcher/run/launcher.sock"


class _State(Enum):
    OPENING = auto()
    RUNNING = auto()
    CLOSING = auto()
    CLOSED = auto()


class Container:
    """The container of one worker."""

    def __init__(self, worker_id: str, folder: Path, remove: Callable[[Container], None]) -> None:
        """Create the record of a container that is about to be opened.

        Args:
            worker_id: its worker.
            folder: what it shares with its worker; of the worker alone.
            remove: begins its removal.
        """
        self.worker_id = worker_id
        #: The engine's name of it.
        self.name = f"trunkline-{worker_id}"
        self.folder = folder
        #: Folder in memory with a folder for each of its secrets; empty when it has none.
        self.secrets = ""
        #: What it waits for, why it cannot be opened, or how it ended by itself; empty otherwise.
        self.reason = "its container is about to be started"
        self._remove = remove
        self._lock = threading.Lock()
        self._state = _State.OPENING

    @property
    def is_running(self) -> bool:
        """Whether the worker can be started."""
        return self._state is _State.RUNNING

    @property
    def is_closing(self) -> bool:
        """Whether it is being removed."""
        return self._state is _State.CLOSING

    @property
    def is_closed(self) -> bool:
        """Whether nothing of it is left, or it could not be opened."""
        return self._state is _State.CLOSED

    @property
    def variables(self) -> dict[str, str]:
        """The settings of its worker: the launcher's socket, and the folders that both see."""
        return {
            "TRUNKLINE_SECRETS": self.secrets,
            "TRUNKLINE_LAUNCHER": str(self.folder / "run" / "launcher.sock"),
            "TRUNKLINE_SHARED": str(self.folder / "pfs"),
        }

    def close(self) -> None:
        """Begin to remove it; who opens it removes it if that is under way. Repeated calls are ignored."""
        with self._lock:
            before, self._state = self._state, _State.CLOSING
            if before is not _State.RUNNING:
                self._state = _State.CLOSED if before is _State.CLOSED else _State.CLOSING
                return
        self._remove(self)

    def set_running(self) -> bool:
        """Record that it runs; return False when it is not needed any more."""
        with self._lock:
            if self._state is not _State.OPENING:
                return False
            self._state = _State.RUNNING
            return True

    def set_closed(self) -> None:
        """Record that nothing of it is left."""
        with self._lock:
            self._state = _State.CLOSED


class Containers:
    """Opens and closes containers. Thread-safe."""

    def __init__(
        self,
        engine: Engine,
        launcher: Path,
        cluster: str,
        fleet: str,
        has_environment: Callable[[str], bool] | None,
    ) -> None:
        """Remove the containers that an earlier server has left.

        Args:
            engine: runs them; it is closed with this.
            launcher: file with the launcher.
            cluster: identity of the installation, by which its containers are found.
            fleet: the fleet's name in records.
            has_environment: whether an image name stands for an environment of this server, whose commands run as
                processes, as do those without an image; None when all commands run in containers.

        Raises:
            FailedPrecondition: the launcher is not a file that can be executed, or the engine fails.
        """
        self.fleet = fleet
        self._engine = engine
        self._launcher = launcher
        self._cluster = cluster
        self._has_environment = has_environment
        self._pool = ThreadPoolExecutor(THREADS, "containers")
        self._lock = threading.Lock()  # guards the one below
        self._pulls: dict[str, threading.Lock] = {}
        self._secrets = SecretFolders(cluster)
        lack = engine.lacks_devices
        #: Fields of a spec that containers of this engine do not honour.
        self.unsupported = without_devices(lack) if lack else UNSUPPORTED
        try:
            if not os.access(launcher, os.X_OK) or not launcher.is_file():
                raise FailedPrecondition(
                    f"the launcher {launcher} is not a file that can be executed; build it with "
                    "scripts/launcher FILE and name it with --launcher FILE"
                )
            for leftover in engine.with_label(f"{CLUSTER_LABEL}={cluster}"):
                engine.remove(leftover)
            self._secrets.remove_all()
        except EngineError as error:
            self.close()
            raise FailedPrecondition(
                f"the containers of an earlier server cannot be removed from the engine at {engine.url}: {error}"
            ) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Wait for what is under way, and close the connection."""
        self._pool.shutdown()
        self._engine.close()

    def runs(self, spec: PipelineSpec) -> bool:
        """Return whether the commands of a pipeline run in containers.

        A complete spec without an image has the default one, so that one counts as not named.
        """
        if self._has_environment is None:
            return True
        image = spec.transform.image if spec.transform is not None else ""
        return image not in ("", DEFAULT_IMAGE) and not self._has_environment(image)

    def open(self, spec: WorkerSpec, folder: Path, changed: Callable[[], None]) -> Container:
        """Begin to open a container.

        Args:
            spec: its worker.
            folder: of the worker alone; created if needed.
            changed: is called when the container runs or is closed.
        """

        def remove(container: Container) -> None:
            self._pool.submit(self._close, container, changed)

        container = Container(spec.worker_id, folder, remove)
        self._pool.submit(self._open, container, spec, changed)
        return container

    def _open(self, container: Container, spec: WorkerSpec, changed: Callable[[], None]) -> None:
        try:
            self._start(container, spec)
            container.reason = ""
            if container.set_running():
                return
        except _CannotPull as error:
            container.reason = (
                f'image "{spec.image}" cannot be pulled: {error}; correct transform.image, or give the engine access '
                "to its registry"
            )
        except Exception as error:
            if not isinstance(error, EngineError | OSError):
                log.exception("an unexpected error while container %s was started", container.name)
            container.reason = f"its container cannot be started: {describe(error)}"
        finally:
            if not container.is_running:
                self._remove(container)
            changed()

    def _remove(self, container: Container) -> None:
        try:
            self._engine.remove(container.name)
        except Exception:
            log.exception("container %s cannot be removed; the next server removes it", container.name)
        self._secrets.remove(container.worker_id)
        container.set_closed()

    def _start(self, container: Container, spec: WorkerSpec) -> None:
        self._provide(container, spec.image)
        for folder in ("", "run", "pfs"):
            path = container.folder / folder
            path.mkdir(exist_ok=True)
            # Its command may be another user. The outermost folder is the worker's alone.
            path.chmod(0o777 if folder else 0o700)
        transform, limits = spec.pipeline_spec.transform, spec.pipeline_spec.resource_limits
        memory = parse_bytes(limits.memory, "resource_limits.memory") if limits and limits.memory else 0
        port = spec.pipeline_spec.published
        container.secrets, secrets = self._secrets.create(spec.worker_id, spec.pipeline_spec)
        request = ContainerRequest(
            name=container.name,
            image=spec.image,
            command=(_LAUNCHER, "serve", _SOCKET),
            labels={CLUSTER_LABEL: self._cluster, WORKER_LABEL: spec.worker_id},
            binds=(
                f"{self._launcher}:{_LAUNCHER}:ro",
                f"{container.folder / 'run'}:{os.path.dirname(_SOCKET)}:rw",
                f"{container.folder / 'pfs'}:/pfs:rw",
                *secrets,
            ),
            user=transform.user if transform is not None else "",
            memory=memory,
            nano_cpus=int((limits.cpu or 0.0) * 1e9) if limits else 0,
            restarts=RESTARTS,
            port=(port.internal_port, port.external_port) if port is not None else None,
            devices=_devices(spec.pipeline_spec),
        )
        if container.is_closing:
            return
        self._engine.create(request)
        self._engine.start(container.name)

    def _provide(self, container: Container, image: str) -> None:
        """Pull an image that the engine does not have.

        Raises:
            _CannotPull: it cannot be pulled.
            EngineError: the engine failed.
        """
        if self._engine.has_image(image):
            return
        container.reason = f'waits for image "{image}" to be pulled'
        with self._lock:
            pull = self._pulls.setdefault(image, threading.Lock())
        with pull:
            if not self._engine.has_image(image):
                try:
                    self._engine.pull(image, lambda: container.is_closing)
                except EngineError as error:
                    raise _CannotPull(str(error)) from error
        container.reason = "its container is about to be started"

    def _close(self, container: Container, changed: Callable[[], None]) -> None:
        try:
            end = self._engine.end_of(container.name)
            if end is not None and end.exit_code:
                container.reason = how_it_ended(end)
        except Exception:
            log.exception("it is not known how container %s ended", container.name)
        self._remove(container)
        changed()


class _CannotPull(Exception):
    """The engine cannot pull an image; the message is its own."""


def _devices(spec: PipelineSpec) -> tuple[str, int] | None:
    """Return the kind of GPUs that a pipeline asks for, and how many; None for none."""
    for resources in (spec.resource_limits, spec.resource_requests):
        if resources is not None and resources.gpu is not None:
            return resources.gpu.type, resources.gpu.number
    return None


def how_it_ended(end: ContainerEnd) -> str:
    """Return a sentence about a container that ended by itself."""
    if end.out_of_memory:
        return "its container was killed for lack of memory; ask for more with resource_limits.memory"
    how = f"its container ended with exit code {end.exit_code}"
    if end.exit_code > 128:
        with contextlib.suppress(ValueError):  # not a signal
            how = f"its container was killed by {signal.Signals(end.exit_code - 128).name}"
    return how + (f"; the last line of its output: {end.output}" if end.output else "")
