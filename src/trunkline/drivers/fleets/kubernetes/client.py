"""The connection to the Kubernetes API: one client, in one event loop, in one thread.

One thread, because lightkube 1.0.1 crashes the interpreter when two threads decode a type for the first time
at once; ``_warm`` decodes each type once before the thread exists, for callers that build values elsewhere.
Errors of the library become classes of ``errors`` here, with the RBAC rule that is missing where one is.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
import msgspec
from lightkube import ApiError, AsyncClient, KubeConfig
from lightkube.config.client_adapter import verify_cluster
from lightkube.config.models import User
from lightkube.core import decoders
from lightkube.core.exceptions import ConfigError
from lightkube.models.authorization_v1 import ResourceAttributes, SelfSubjectAccessReviewSpec
from lightkube.resources.authentication_v1 import SelfSubjectReview
from lightkube.resources.authorization_v1 import SelfSubjectAccessReview
from lightkube.resources.core_v1 import ConfigMap, Event, Node, Pod, Secret, Service

from trunkline import errors
from trunkline.runtime.supervision import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from concurrent.futures import Future

    from lightkube.config.kubeconfig import SingleConfig

T = TypeVar("T")

#: Seconds that a call may take, as Kubernetes' own clients give it.
CALL_SECONDS = 10.0
#: Calls that change something and are under way together.
CALLS_IN_FLIGHT = 32
#: Seconds at least between two connects of one watch: the library opens it again at once when it ends.
_WATCH_PACE = 0.5
#: What a call may raise that is not a fault of ours.
FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, msgspec.MsgspecError, ConfigError, OSError, TimeoutError)


class _Transport(httpx2.AsyncHTTPTransport):
    """Requests bookmarks, which the library does not, limits the pace of watches, and counts calls."""

    def __init__(self, calls: list[int], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._calls = calls
        self._opened: dict[str, float] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._calls[0] += 1
        if request.url.params.get("watch") == "true":
            request.url = request.url.copy_merge_params({"allowWatchBookmarks": "true"})
            pause = self._opened.get(request.url.path, 0.0) + _WATCH_PACE - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            self._opened[request.url.path] = time.monotonic()
            response = await super().handle_async_request(request)
            if "Content-Encoding" not in response.headers:
                assert isinstance(response.stream, httpx2.AsyncByteStream)
                response.stream = _Bookmarks(response.stream)
            return response
        return await super().handle_async_request(request)


class _Bookmarks(httpx2.AsyncByteStream):
    """Replaces null by an empty list in bookmarks of pods, because the library refuses to decode it."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        rest = b""
        async for part in self._stream:
            whole, newline, rest = (rest + part).rpartition(b"\n")
            if newline and b'"BOOKMARK"' in whole:
                lines = whole.split(b"\n")
                whole = b"\n".join(
                    line.replace(b'"containers":null', b'"containers":[]')
                    if line.startswith(b'{"type":"BOOKMARK"')
                    else line
                    for line in lines
                )
            if newline:
                yield whole + newline
        if rest:
            yield rest

    async def aclose(self) -> None:
        await self._stream.aclose()


class Connection:
    """An API server and the thread that calls it. Methods may be called from any other thread."""

    def __init__(
        self,
        namespace: str = "",
        config: SingleConfig | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        """Read the configuration; no call is made yet.

        Args:
            namespace: the workers' namespace; empty for the one in the configuration.
            config: how to reach the API server; None reads the pod's configuration, then KUBECONFIG.
            supervisor: receives a failure of the thread; a new one when None.

        Raises:
            FailedPrecondition: there is no configuration, or it cannot be used.
        """
        self._calls = [0]
        config = _configuration() if config is None else config
        if config.user is None:
            config = config._replace(user=User())
        self.server = config.cluster.server
        self.namespace = namespace or config.namespace
        _warm()
        try:
            assert config.user is not None
            transport = _Transport(
                self._calls,
                verify=verify_cluster(config.cluster, config.user, config.abs_file),
                limits=httpx2.Limits(
                    max_connections=100, max_keepalive_connections=CALLS_IN_FLIGHT, keepalive_expiry=60.0
                ),
            )
        except (OSError, ConfigError, ValueError) as error:
            raise errors.FailedPrecondition(
                f"the Kubernetes configuration for {self.server} cannot be used: {error}; "
                "correct its certificates"
            ) from error
        self._loop = asyncio.new_event_loop()
        # Not started again: what its tasks were doing is not known.
        self._thread = (supervisor or Supervisor()).thread(
            "kubernetes-calls", self._loop.run_forever, restart=False
        )

        async def connect() -> AsyncClient:
            return AsyncClient(
                config,
                namespace=self.namespace,
                timeout=httpx2.Timeout(CALL_SECONDS),
                field_manager="trunkline",
                transport=transport,
            )

        try:
            self.client = self.run(connect())
        except FAILURES as error:
            self._end_thread()
            raise errors.FailedPrecondition(
                f"the Kubernetes configuration for {self.server} cannot be used: {error}; correct it"
            ) from error

    @property
    def calls(self) -> int:
        """How many calls were made."""
        return self._calls[0]

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the connection's thread and wait for it."""
        return self.submit(call).result()

    def submit(self, call: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the connection's thread; returns at once."""
        return asyncio.run_coroutine_threadsafe(call, self._loop)

    async def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object at a path that belongs to no resource; lightkube has no call for these.

        Raises:
            Exception: one of ``FAILURES``.
        """
        response = await self.client._client._client.get(path)
        response.raise_for_status()
        answer = msgspec.json.decode(response.content)
        if not isinstance(answer, dict):
            raise msgspec.DecodeError(f"{path} is not a JSON object")
        return answer

    def soon(self, function: Callable[[], object]) -> None:
        """Have a function called in the connection's thread; after the end nothing is."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def close(self) -> None:
        """End the calls under way and the thread."""
        if self._thread.is_alive():
            self.run(self._end())
            self._end_thread()

    async def _end(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.client.close()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def may(self, verb: str, resource: str, *, everywhere: bool = False) -> bool:
        """Return whether the API server allows a verb; True when it does not answer that.

        Args:
            verb: such as ``list``.
            resource: such as ``pods``.
            everywhere: in the whole cluster instead of the workers' namespace.
        """
        attributes = ResourceAttributes(
            verb=verb, resource=resource, namespace=None if everywhere else self.namespace
        )
        try:
            answer = await self.client.create(
                SelfSubjectAccessReview(spec=SelfSubjectAccessReviewSpec(resourceAttributes=attributes))
            )
        except FAILURES:
            return True
        return answer.status is None or answer.status.allowed


def _configuration() -> SingleConfig:
    try:
        config = KubeConfig.from_env().get()
    except (
        ConfigError,
        OSError,
        KeyError,
        TypeError,
        AttributeError,
        ValueError,
        msgspec.MsgspecError,
    ) as error:
        raise errors.FailedPrecondition(
            f"no usable Kubernetes configuration was found: {error}; run the server in a pod with a service "
            "account, or set KUBECONFIG to a file whose current context names the cluster"
        ) from error
    except Exception as error:
        if type(error).__module__.startswith("yaml"):
            raise errors.FailedPrecondition(
                f"the file named by KUBECONFIG is not YAML: {' '.join(str(error).split())}; correct it"
            ) from error
        raise
    assert config is not None
    return config


_warmed = threading.Lock()


def _warm() -> None:
    """Decode each type once, alone."""
    with _warmed:
        for kind in (Pod, Event, Node, Secret, ConfigMap, Service):
            decoders.decode_object(b'{"metadata":{"name":"x"},"involvedObject":{}}', kind)
            decoders.decode_list(b'{"items":[],"metadata":{}}', kind)
        decoders.decode_object(b'{"spec":{}}', SelfSubjectAccessReview)
        decoders.decode_object(b"{}", SelfSubjectReview)
        Pod.from_dict({"metadata": {"name": "x"}}).to_dict()
        decoders.decode_watch_event(b'{"type":"BOOKMARK","object":{}}')
        decoders.decode_status(b'{"code":410}')


# --- errors --------------------------------------------------------------------------------------------


def code(error: BaseException) -> int:
    """Return the HTTP status that an error carries, or 0."""
    if isinstance(error, ApiError) and error.status is not None and error.status.code:
        return error.status.code
    if isinstance(error, httpx2.HTTPStatusError) and error.response is not None:
        return error.response.status_code
    return 0


def reason(error: BaseException) -> str:
    """Return Kubernetes' name of what went wrong, such as ``AlreadyExists``, or nothing."""
    return (error.status.reason or "") if isinstance(error, ApiError) and error.status is not None else ""


def message(error: BaseException) -> str:
    """Return what went wrong in the words of Kubernetes or of the library, or in ours where they have none."""
    if isinstance(error, ApiError) and error.status is not None and error.status.message:
        return " ".join(error.status.message.split())
    if text := " ".join(str(error).split()):
        return text
    if isinstance(error, httpx2.ConnectTimeout):
        return f"no connection within {CALL_SECONDS:g} s"
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        return f"no answer within {CALL_SECONDS:g} s"
    if isinstance(error, httpx2.TransportError | OSError):
        return "the connection broke"
    return "the answer cannot be read"


def retry_after(error: BaseException) -> float:
    """Return the seconds that the API server asks to wait before the next call."""
    if isinstance(error, ApiError) and error.status is not None and error.status.details is not None:
        return float(error.status.details.retryAfterSeconds or 0)
    if isinstance(error, httpx2.HTTPStatusError) and error.response is not None:
        seconds = error.response.headers.get("Retry-After", "")
        return float(seconds) if seconds.isdigit() else 0.0
    return 0.0


def is_lost_connection(error: BaseException) -> bool:
    """Return whether only the connection broke, so that a watch can continue from its last version."""
    return isinstance(error, httpx2.TransportError | OSError | TimeoutError)


def is_rbac(error: BaseException) -> bool:
    """Return whether a permission is missing, as opposed to an admission rule that is broken."""
    return code(error) == 403 and " cannot " in message(error) and "exceeded quota" not in message(error)


def rbac_rule(verb: str, resource: str) -> str:
    """Return the rule of a Role that grants a verb."""
    return f'{{apiGroups: [""], resources: ["{resource}"], verbs: ["{verb}"]}}'


def translated(
    error: BaseException, server: str, namespace: str, verb: str, resource: str
) -> errors.TrunklineError:
    """Return the class of ``errors`` for an error of a call.

    Args:
        error: one of ``FAILURES``.
        server: URL of the API server.
        namespace: the namespace of the call; empty for calls about the whole cluster.
        verb: the verb of the call, such as ``list``.
        resource: its resource, such as ``pods``.
    """
    text, status = message(error), code(error)
    if is_rbac(error):
        kind = "Role" if namespace else "ClusterRole"
        return errors.PermissionDenied(
            f"Kubernetes forbids to {verb} {resource}{f' in namespace {namespace}' if namespace else ''} "
            f"({text}); add to the server's {kind}: {rbac_rule(verb, resource)}"
        )
    if status == 401:
        return errors.FailedPrecondition(
            f"the Kubernetes API at {server} does not accept the server's credentials ({text}); "
            "renew the token or certificate of its configuration"
        )
    if status == 404 and "namespaces" in text:
        return errors.FailedPrecondition(
            f'namespace "{namespace}" does not exist in the cluster at {server}; create it or name another '
            "with --namespace"
        )
    if status == 429:
        return errors.ResourceExhausted(f"the Kubernetes API at {server} is overloaded ({text}); try again")
    if status == 409:
        return errors.Aborted(f"{resource} changed at the same time ({text}); try again")
    if status == 404:
        return errors.NotFound(f"Kubernetes does not know it: {text}")
    if status in (400, 422):
        return errors.InvalidArgument(f"Kubernetes finds it invalid: {text}; correct it")
    if 400 <= status < 500:
        return errors.FailedPrecondition(f"Kubernetes refuses to {verb} {resource}: {text}")
    if status >= 500:
        return errors.Unavailable(f"the Kubernetes API at {server} failed ({text}); try again")
    if isinstance(error, ConfigError):
        return errors.FailedPrecondition(f"the Kubernetes configuration cannot be used: {text}; correct it")
    return errors.Unavailable(
        f"the Kubernetes API at {server} does not answer ({text}); check the address in the configuration "
        "and that the server may reach it"
    )
