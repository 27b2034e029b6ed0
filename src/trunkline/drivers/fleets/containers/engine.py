"""A container engine by Docker's API, which Podman has too; the only module that imports the library ``docker``.

Calls block, and may come from several threads. The engine must be on this machine, because containers share folders
with workers; so only Unix sockets are used.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import requests
from docker.api import APIClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import DeviceRequest

from trunkline.errors import FailedPrecondition, InvalidArgument, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: Oldest version of the API that has all that is used; Docker 20.10 and Podman 4 have it.
API_VERSION = "1.41"
#: The first Podman whose API gives devices to containers.
PODMAN_WITH_DEVICES = "5.4"
_PODMAN = "Podman Engine"
#: Seconds for an answer; starting a container on a busy machine takes some.
CALL_SECONDS = 60
#: Seconds without a byte after which a pull has failed.
PULL_SECONDS = 600
#: Seconds between tries to remove a container; the last try has none.
REMOVAL_PAUSES = (0.1, 0.2, 0.5, 1.0, 0.0)


class ContainerRequest(NamedTuple):
    """A container to create."""

    name: str
    image: str
    command: Sequence[str]
    labels: Mapping[str, str]
    #: ``host path:path in the container:ro or rw``.
    binds: Sequence[str]
    #: Name or number; empty for the image's.
    user: str
    #: Bytes; 0 for no limit.
    memory: int
    #: Thousand-millionths of a CPU; 0 for no limit.
    nano_cpus: int
    #: How often the engine starts it again when it ends with an error.
    restarts: int
    #: A port of the container, and the one of 127.0.0.1 that leads to it; None for none.
    port: tuple[int, int] | None = None
    #: A kind of devices, such as ``nvidia.com/gpu``, and how many; None for none.
    devices: tuple[str, int] | None = None


class ContainerEnd(NamedTuple):
    """How a container ended."""

    out_of_memory: bool
    exit_code: int
    #: Last line of its output.
    output: str


class EngineError(Exception):
    """The engine refused or failed; the message is its own, in one line."""


def find_engine(environ: Mapping[str, str]) -> str:
    """Return the URL of the engine: ``DOCKER_HOST``, else the first usual socket that exists.

    Args:
        environ: the environment variables of the server.

    Raises:
        InvalidArgument: ``DOCKER_HOST`` names an engine on another machine.
        FailedPrecondition: no engine is known.
    """
    if url := environ.get("DOCKER_HOST", ""):
        if not url.startswith("unix://"):
            raise InvalidArgument(
                f"DOCKER_HOST {url} is not a Unix socket; containers share folders with workers, so name an engine on "
                "this machine, such as unix:///var/run/docker.sock"
            )
        return url
    user = environ.get("XDG_RUNTIME_DIR", "") or f"/run/user/{os.getuid()}"
    sockets = (
        "/var/run/docker.sock",
        f"{user}/docker.sock",
        f"{user}/podman/podman.sock",
        "/run/podman/podman.sock",
    )
    for path in sockets:
        if Path(path).is_socket():
            return f"unix://{path}"
    raise FailedPrecondition(
        f"no container engine listens on {', '.join(sockets[:-1])} or {sockets[-1]}; start Docker or "
        '"podman system service --time 0", or name its socket with DOCKER_HOST=unix:///PATH'
    )


class Engine:
    """A connection to an engine."""

    def __init__(self, url: str, threads: int) -> None:
        """Connect.

        Args:
            url: of the engine.
            threads: how many threads make calls at a time.

        Raises:
            Unavailable: the engine does not answer.
            FailedPrecondition: it is too old.
        """
        self.url = url
        self._client: Any = APIClient(
            base_url=url, version=API_VERSION, timeout=CALL_SECONDS, num_pools=threads, max_pool_size=threads
        )
        try:
            answer = self._client.version()
        except (DockerException, requests.RequestException) as error:
            self.close()
            raise Unavailable(
                f"the container engine at {url} does not answer ({_sentence(error)}); start it, or name another one "
                "with DOCKER_HOST"
            ) from error
        version = answer["ApiVersion"]
        if _numbers(version) < _numbers(API_VERSION):
            self.close()
            raise FailedPrecondition(
                f"the container engine at {url} has version {version} of the API and {API_VERSION} is needed; install "
                "Docker 20.10, Podman 4 or newer"
            )
        components = {each["Name"]: each["Version"] for each in answer.get("Components") or ()}
        #: Podman's version; empty for another engine.
        self._podman: str = components.get(_PODMAN, "")

    @property
    def lacks_devices(self) -> str:
        """Why this engine gives no devices, such as GPUs, to containers; empty when it can."""
        if not self._podman or _numbers(self._podman) >= _numbers(PODMAN_WITH_DEVICES):
            return ""
        return f"the engine is Podman {self._podman}, which ignores requests for devices before {PODMAN_WITH_DEVICES}"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def has_image(self, name: str) -> bool:
        """Return whether the engine has an image.

        Raises:
            EngineError: the engine failed.
        """
        try:
            self._client.inspect_image(name)
        except ImageNotFound:
            return False
        except (DockerException, requests.RequestException) as error:
            _fail(error)
        return True

    def pull(self, name: str, is_cancelled: Callable[[], bool]) -> None:
        """Pull an image.

        Args:
            name: of the image; without a tag or digest its tag is ``latest``.
            is_cancelled: asked after each step of the pull; the rest is not waited for.

        Raises:
            EngineError: it cannot be pulled.
        """
        repository, tag = split_name(name)
        fault = ""
        client: Any = APIClient(base_url=self.url, version=API_VERSION, timeout=PULL_SECONDS)
        try:
            for step in client.pull(repository, tag=tag, stream=True, decode=True):
                if is_cancelled():
                    return
                fault = str(step.get("error", fault))
        except (DockerException, requests.RequestException) as error:
            _fail(error)
        finally:
            client.close()
        if fault:
            raise EngineError(_one_line(fault))

    def create(self, request: ContainerRequest) -> None:
        """Create a container.

        Raises:
            EngineError: it cannot be created.
        """
        bindings = None if request.port is None else {request.port[0]: ("127.0.0.1", request.port[1])}
        restart = {"Name": "on-failure", "MaximumRetryCount": request.restarts} if request.restarts else None
        try:
            self._client.create_container(
                request.image,
                name=request.name,
                entrypoint=list(request.command),
                command=[],
                user=request.user or None,
                labels=dict(request.labels),
                ports=list(bindings or ()),
                host_config=self._client.create_host_config(
                    binds=list(request.binds),
                    mem_limit=request.memory or None,
                    # Otherwise a command may use as much swap again.
                    memswap_limit=request.memory or None,
                    nano_cpus=request.nano_cpus or None,
                    restart_policy=restart,
                    port_bindings=bindings,
                    device_requests=[device_request(*request.devices, podman=bool(self._podman))]
                    if request.devices is not None
                    else None,
                ),
            )
        except (DockerException, requests.RequestException) as error:
            _fail(error)

    def start(self, name: str) -> None:
        """Start a container.

        Raises:
            EngineError: it cannot be started.
        """
        try:
            self._client.start(name)
        except (DockerException, requests.RequestException) as error:
            _fail(error)

    def end_of(self, name: str) -> ContainerEnd | None:
        """Return how a container ended; None while it runs or when it does not exist.

        Raises:
            EngineError: the engine failed.
        """
        try:
            state = self._client.inspect_container(name)["State"]
            if state["Running"] or state["Status"] == "created":
                return None
            output = self._client.logs(name, tail=1).decode("utf-8", "replace")
        except NotFound:
            return None
        except (DockerException, requests.RequestException) as error:
            _fail(error)
        return ContainerEnd(bool(state.get("OOMKilled")), int(state["ExitCode"]), _one_line(output))

    def remove(self, name: str) -> None:
        """Remove a container, by force; succeeds when it does not exist.

        Engines refuse while the container is just ending or being removed already, so it is tried several times.

        Raises:
            EngineError: it cannot be removed.
        """
        for pause in REMOVAL_PAUSES:
            try:
                self._client.remove_container(name, v=True, force=True)
                return
            except NotFound:
                return
            except (DockerException, requests.RequestException) as error:
                if not pause or not isinstance(error, APIError):
                    _fail(error)
            time.sleep(pause)

    def with_label(self, label: str) -> list[str]:
        """Return the ids of the containers with a label, those that have ended included.

        Args:
            label: ``NAME=VALUE``.

        Raises:
            EngineError: the engine failed.
        """
        try:
            return [each["Id"] for each in self._client.containers(all=True, filters={"label": label})]
        except (DockerException, requests.RequestException) as error:
            _fail(error)


def device_request(kind: str, number: int, *, podman: bool) -> DeviceRequest:
    """Return a request for devices: by their names (CDI), or in Docker's own way for GPUs of NVIDIA.

    Args:
        kind: of the devices, such as ``nvidia.com/gpu``.
        number: how many; the first ones, which other containers may have too.
        podman: whether the engine is Podman, which knows devices by their names only.
    """
    if kind == "nvidia.com/gpu" and not podman:
        return DeviceRequest(count=number, capabilities=[["gpu"]])
    return DeviceRequest(driver="cdi", device_ids=[f"{kind}={each}" for each in range(number)])


def _numbers(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version."""
    return tuple(int(re.match("[0-9]*", part)[0] or 0) for part in version.split(".")[:2])  # type: ignore[index]


def split_name(name: str) -> tuple[str, str | None]:
    """Return an image's repository and its tag or digest; for a digest the whole name and None.

    Args:
        name: such as ``python``, ``python:3.12``, ``registry:5000/team/edges`` or ``python@sha256:…``.
    """
    if "@" in name:
        return name, None
    head, colon, tag = name.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (name, "latest")


def _fail(error: Exception) -> NoReturn:
    raise EngineError(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    explanation = error.explanation if isinstance(error, APIError) and error.explanation else str(error)
    return _one_line(str(explanation))


def _one_line(text: str) -> str:
    return " ".join(text.split())
