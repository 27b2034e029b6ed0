"""The API server as stand-ins use it: JSON over one connection per thread, and copies kept by list and watch.

No client library: whoever imitates a controller must write the very fields that the real one writes, and nothing
may be filled in or left out on the way.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Object = dict[str, Any]

MERGE = "application/merge-patch+json"
NODES = "/api/v1/nodes"
PODS = "/api/v1/pods"
#: Seconds for an answer; the API server of a busy machine takes some.
PATIENCE = 60.0


class Refused(Exception):
    """The API server's answer is an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Api:
    """Requests to one API server as one user. Threads share it."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        self._place = urlsplit(config["clusters"][0]["cluster"]["server"])
        self._token = config["users"][0]["user"]["token"]
        # The cluster is of this test and on this computer: there is nobody to be fooled by.
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._mine = threading.local()
        self._all: list[http.client.HTTPSConnection] = []

    def connect(self, timeout: float = PATIENCE) -> http.client.HTTPSConnection:
        """Return a new connection, closed with this object at the latest."""
        connection = http.client.HTTPSConnection(
            self._place.hostname or "", self._place.port, timeout=timeout, context=self._context
        )
        self._all.append(connection)
        return connection

    def send(
        self, connection: http.client.HTTPSConnection, method: str, path: str, body: Any, kind: str
    ) -> http.client.HTTPResponse:
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": kind,
            "Accept": "application/json",
        }
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        return connection.getresponse()

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Make a request and return the answer; one that a connection has lost is made again."""
        for attempt in (0, 1):
            connection = getattr(self._mine, "connection", None)
            if connection is None:
                connection = self._mine.connection = self.connect()
            try:
                response = self.send(connection, method, path, body, kind)
                answer = response.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                self._mine.connection = None
                if attempt:
                    raise
                continue
            if response.status >= 400:
                raise Refused(response.status, answer.decode(errors="replace"))
            return json.loads(answer)
        raise AssertionError("unreachable")

    def create(self, path: str, body: Object) -> Any:
        return self.call("POST", path, body)

    def merge(self, path: str, change: Object) -> Any:
        """Change fields; one that is gone already is left so."""
        with gone_is_fine():
            return self.call("PATCH", path, change, MERGE)

    def delete(self, path: str, grace: int | None = None) -> None:
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        with gone_is_fine():
            self.call("DELETE", path, options)

    def close(self) -> None:
        for connection in self._all:
            connection.close()


@contextlib.contextmanager
def gone_is_fine() -> Any:
    """Pass over what is not there any more, or was done already: copies are a moment late."""
    try:
        yield
    except Refused as refused:
        if refused.code not in (404, 409):
            raise


class Mirror:
    """A copy of all objects of a kind, kept by a list and a watch in a thread of its own."""

    def __init__(self, api: Api, path: str) -> None:
        self._api = api
        self._path = path
        self._lock = threading.Lock()
        self._objects: dict[str, Object] = {}  # by uid
        self._watchers: list[Callable[[], None]] = []
        self._closed = False
        self._socket: socket.socket | None = None
        self._version = self._list()
        self._thread = threading.Thread(target=self._follow, name=f"mirror {path}", daemon=True)
        self._thread.start()

    def tell(self, wake: Callable[[], None]) -> None:
        """Have ``wake`` called at each change."""
        self._watchers.append(wake)

    def all(self) -> list[Object]:
        """Return all objects, the oldest first."""
        with self._lock:
            objects = list(self._objects.values())
        return sorted(
            objects, key=lambda each: (each["metadata"]["creationTimestamp"], each["metadata"]["name"])
        )

    def named(self) -> dict[str, Object]:
        """Return all objects by name, which tells apart those of one namespace or of none."""
        return {each["metadata"]["name"]: each for each in self.all()}

    def _list(self) -> str:
        answer = self._api.call("GET", self._path)
        with self._lock:
            self._objects = {each["metadata"]["uid"]: each for each in answer["items"]}
        version: str = answer["metadata"]["resourceVersion"]
        return version

    def _follow(self) -> None:
        while not self._closed:
            try:
                self._watch()
                self._version = self._list()
                self._wake()
            except (OSError, http.client.HTTPException, Refused, ValueError):
                if not self._closed:
                    time.sleep(0.2)

    def _watch(self) -> None:
        connection = self._api.connect(timeout=400)
        try:
            query = f"?watch=1&timeoutSeconds=300&resourceVersion={self._version}"
            response = self._api.send(connection, "GET", self._path + query, None, "application/json")
            self._socket = connection.sock
            while not self._closed and (line := response.readline()):
                change = json.loads(line)
                if change["type"] == "ERROR":
                    return
                self._take(change["type"], change["object"])
                self._wake()
        finally:
            self._socket = None
            connection.close()

    def _take(self, change: str, obj: Object) -> None:
        with self._lock:
            if change == "DELETED":
                self._objects.pop(obj["metadata"]["uid"], None)
            elif change in ("ADDED", "MODIFIED"):
                self._objects[obj["metadata"]["uid"]] = obj

    def _wake(self) -> None:
        for wake in self._watchers:
            wake()

    def close(self) -> None:
        self._closed = True
        while self._thread.is_alive():
            watched = self._socket
            if watched is not None:
                with contextlib.suppress(OSError):
                    watched.shutdown(socket.SHUT_RDWR)
            self._thread.join(0.1)


class Loop:
    """Calls ``step`` in a thread of its own: when it is woken, and at least once per period."""

    def __init__(self, name: str, step: Callable[[], None], period: float) -> None:
        self._step = step
        self._period = period
        self._event = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._event.set()

    def _run(self) -> None:
        while not self._closed:
            self._event.wait(self._period)
            self._event.clear()
            try:
                self._step()
            except (Refused, OSError, http.client.HTTPException) as error:
                # Level-triggered: the next step sees the same again.
                print(f"{self._thread.name}: {error}", file=sys.stderr)

    def close(self) -> None:
        self._closed = True
        self._event.set()
        if self._thread.is_alive():
            self._thread.join()


class Recorder:
    """Writes events as a component of the cluster does: the same again is counted, not written twice."""

    def __init__(self, api: Api, component: str) -> None:
        self._api = api
        self._component = component
        self._written: dict[tuple[str, str, str], tuple[str, int]] = {}

    def event(self, about: Object, reason: str, message: str, *, warning: bool = False) -> None:
        """Say something about an object."""
        metadata = about["metadata"]
        namespace = metadata.get("namespace", "default")
        key = (metadata["uid"], reason, message)
        base = f"/api/v1/namespaces/{namespace}/events"
        name, count = self._written.get(key, ("", 0))
        if name:
            self._api.merge(f"{base}/{name}", {"count": count + 1, "lastTimestamp": now_text()})
        else:
            name = f"{metadata['name']}.{time.time_ns():x}"
            self._api.create(base, self._event(name, namespace, about, reason, message, warning))
        self._written[key] = (name, count + 1)

    def _event(
        self, name: str, namespace: str, about: Object, reason: str, message: str, warning: bool
    ) -> Object:
        metadata = about["metadata"]
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod" if "namespace" in metadata else "Node",
                "name": metadata["name"],
                "namespace": metadata.get("namespace", ""),
                "uid": metadata["uid"],
            },
            "reason": reason,
            "message": message,
            "type": "Warning" if warning else "Normal",
            "source": {"component": self._component},
            "firstTimestamp": now_text(),
            "lastTimestamp": now_text(),
            "count": 1,
        }


def now_text() -> str:
    """Return the time as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def path_of(obj: Object) -> str:
    """Return the path of a pod or a node."""
    metadata = obj["metadata"]
    if "namespace" in metadata:
        return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
    return f"{NODES}/{metadata['name']}"


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Object:
    """Return a condition of a pod."""
    condition_ = {"type": kind, "status": status, "lastTransitionTime": now_text()}
    return condition_ | {name: text for name, text in (("reason", reason), ("message", message)) if text}


def node(
    name: str,
    *,
    labels: dict[str, str],
    taints: list[Object],
    capacity: dict[str, str],
    allocatable: dict[str, str] | None = None,
    provider_id: str = "",
) -> Object:
    """Return a node of a machine that does not exist; kwok keeps it ready."""
    common = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": name,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": common | labels,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": {"taints": taints, "providerID": provider_id},
        "status": {"capacity": capacity, "allocatable": allocatable or capacity},
    }


def is_ready(node: Object) -> bool:
    """Return whether a node is ready."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
