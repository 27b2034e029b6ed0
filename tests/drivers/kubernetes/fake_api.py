"""An API server in this process that behaves as the real one was seen to, as far as the driver can tell.

It speaks HTTP over a socket, so connections can break, and keeps what the real one keeps: versions that count
upwards through all kinds, a history from which watches go on until it is compacted (410), bookmarks, label
and field selectors, merge patches, deletion that waits for the kubelet once a pod has a node. Tests play the
scheduler and the kubelet, and may have calls fail before or after they took effect.
"""

from __future__ import annotations

import asyncio
import copy
import datetime
import json
import threading
import time
import uuid

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

#: What happens to a call: an HTTP status, "drop" (not done, connection cut) or "lose" (done, connection cut).
Fault = int | str
#: What the real server puts into bookmarks beside the version.
_EMPTY: dict[str, dict] = {
    "pods": {"kind": "Pod", "apiVersion": "v1", "spec": {"containers": None}, "status": {}},
    "events": {
        "kind": "Event",
        "apiVersion": "v1",
        "involvedObject": {},
        "source": {},
        "lastTimestamp": None,
    },
    "nodes": {"kind": "Node", "apiVersion": "v1", "spec": {}, "status": {}},
}


ISSUER = "https://kubernetes.default.svc"
PUBLISHED = ("/openid/v1/jwks", "/.well-known/openid-configuration")


class SigningKeys:
    """Signs tokens of pods as the API server does, and publishes the public half of the key."""

    def __init__(self) -> None:
        self.rotate()

    def rotate(self) -> None:
        """Replace the key."""
        self._key = rsa.generate_private_key(65537, 2048)
        self._id = uuid.uuid4().hex

    def published(self) -> dict:
        key = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**key, "kid": self._id, "alg": "RS256", "use": "sig"}]}

    def token(self, pod: dict, **changes) -> str:
        """Return the token of a pod; ``changes`` replace claims, and None removes one."""
        metadata = pod["metadata"]
        bound = {
            "namespace": metadata["namespace"],
            "pod": {"name": metadata["name"], "uid": metadata["uid"]},
            "serviceaccount": {"name": "default", "uid": "1"},
        }
        claims = {
            "aud": ["trunkline"],
            "exp": time.time() + 3600,
            "iss": ISSUER,
            "sub": f"system:serviceaccount:{metadata['namespace']}:default",
            "kubernetes.io": bound,
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, self._key, "RS256", {"kid": self._id})


class FakeApi:
    real = False

    def __init__(self) -> None:
        self.namespaces = {"work"}
        self.forbidden: set[tuple[str, str]] = set()  # (verb, resource)
        self.refusal: tuple[int, str, str] | None = None  # what creates of pods meet: code, reason, message
        self.faults: list[Fault] = []  # what the next calls that change something meet, one each
        self.away = False
        self.tokens: set[str] = set()  # who is let in; empty for everybody
        self.user = "system:serviceaccount:work:trunkline"  # who the caller is
        self.keys = SigningKeys()
        self.calls: list[tuple[str, str]] = []
        self._lock = threading.RLock()
        self._objects: dict[tuple[str, str, str], dict] = {}  # (resource, namespace, name)
        self._version = 100
        self._oldest = 0
        self._history: list[tuple[int, str, str, str, dict]] = []
        self._watches: list[tuple[asyncio.Queue, str, str, dict]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-api", daemon=True)
        self._thread.start()
        self.port = self._run(self._serve(0))

    def kubeconfig(self, user: str = "server") -> dict:
        return {
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "u", "user": {"token": user}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "work"}}],
            "current-context": "c",
        }

    def close(self) -> None:
        self.cut_watches()
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self):
        await self._runner.cleanup()
        answers = asyncio.all_tasks() - {asyncio.current_task()}
        for answer in answers:
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)

    def _run(self, call):
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(30)

    async def _serve(self, port: int) -> int:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        return site._server.sockets[0].getsockname()[1]

    # what tests do

    def pods(self) -> list[dict]:
        return self.objects("pods")

    def objects(self, resource: str) -> list[dict]:
        with self._lock:
            return [copy.deepcopy(o) for (r, _, _), o in self._objects.items() if r == resource]

    def bind(self, name: str, node: str) -> None:
        self._change("pods", "work", name, {"spec": {"nodeName": node}})

    def set_status(self, name: str, status: dict) -> None:
        self._change("pods", "work", name, {"status": status})

    def finish_deletion(self, name: str) -> None:
        """The kubelet has ended the containers of a pod that is being deleted."""
        with self._lock:
            self._remove("pods", "work", name)

    def delete_pod(self, name: str, grace: int = 0) -> None:
        with self._lock:
            self._delete("pods", "work", name, grace)

    def add(self, resource: str, namespace: str, obj: dict) -> None:
        with self._lock:
            self._create(resource, namespace, obj)

    def change(self, resource: str, namespace: str, name: str, patch: dict) -> None:
        self._change(resource, namespace, name, patch)

    def remove(self, resource: str, namespace: str, name: str) -> None:
        with self._lock:
            self._remove(resource, namespace, name)

    def add_event(self, pod: str, reason: str, message: str, at: str, component: str = "") -> None:
        self.add("events", "work", event_about(pod, reason, message, at, component))

    def cut_watches(self) -> None:
        """End all watches in the middle of a line."""
        with self._lock:
            for queue, *_ in self._watches:
                self._loop.call_soon_threadsafe(queue.put_nowait, b'{"type":"MODI')
                self._loop.call_soon_threadsafe(queue.put_nowait, None)
            self._watches.clear()

    def expire_watches(self) -> None:
        """Tell all watches that their version is too old, in the watch itself."""
        status = _status(410, "Expired", "too old resource version: 1 (2)")
        with self._lock:
            for queue, *_ in self._watches:
                line = json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
                self._loop.call_soon_threadsafe(queue.put_nowait, line)
                self._loop.call_soon_threadsafe(queue.put_nowait, None)
            self._watches.clear()

    def compact(self) -> None:
        """Forget the history: watches from old versions meet 410."""
        with self._lock:
            self._version += 1
            self._oldest = self._version
            self._history.clear()

    def bookmark(self) -> None:
        """Tell all watches that asked for it the newest version."""
        with self._lock:
            for queue, resource, _, query in self._watches:
                if query.get("allowWatchBookmarks") == "true":
                    thing = {"metadata": {"resourceVersion": str(self._version)}} | _EMPTY[resource]
                    line = _line("BOOKMARK", thing)
                    self._loop.call_soon_threadsafe(queue.put_nowait, line)

    def watching(self) -> int:
        with self._lock:
            return len(self._watches)

    # the store; the lock is held

    def _create(self, resource: str, namespace: str, obj: dict) -> dict:
        obj = copy.deepcopy(obj)
        metadata = obj.setdefault("metadata", {})
        if "name" not in metadata:
            metadata["name"] = metadata.get("generateName", "") + uuid.uuid4().hex[:5]
        key = (resource, namespace, metadata["name"])
        if key in self._objects:
            raise Refused(409, "AlreadyExists", f'{resource} "{metadata["name"]}" already exists')
        metadata |= {"namespace": namespace, "uid": str(uuid.uuid4()), "creationTimestamp": _now()}
        if resource == "pods":
            obj.setdefault("status", {"phase": "Pending"})
        self._put(key, obj, "ADDED")
        return obj

    def _put(self, key: tuple[str, str, str], obj: dict, change: str) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        if change == "DELETED":
            self._objects.pop(key, None)
        else:
            self._objects[key] = obj
        obj = copy.deepcopy(obj)
        self._history.append((self._version, change, key[0], key[1], obj))
        for queue, resource, namespace, query in self._watches:
            if resource == key[0] and namespace in ("", key[1]) and _matches(obj, query):
                self._loop.call_soon_threadsafe(queue.put_nowait, _line(change, obj))

    def _change(self, resource: str, namespace: str, name: str, patch: dict) -> dict:
        with self._lock:
            key = (resource, namespace, name)
            old = self._objects.get(key)
            if old is None:
                raise Refused(404, "NotFound", f'{resource} "{name}" not found')
            version = patch.get("metadata", {}).get("resourceVersion")
            if version is not None and version != old["metadata"]["resourceVersion"]:
                raise Refused(409, "Conflict", f'Operation cannot be fulfilled on {resource} "{name}"')
            new = _merge(copy.deepcopy(old), patch)
            self._put(key, new, "MODIFIED")
            return new

    def _delete(self, resource: str, namespace: str, name: str, grace: int) -> None:
        old = self._objects.get((resource, namespace, name))
        if old is None:
            raise Refused(404, "NotFound", f'{resource} "{name}" not found')
        finished = old.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if resource == "pods" and grace and old["spec"].get("nodeName") and not finished:
            was = old["metadata"].get("deletionGracePeriodSeconds")
            if was is None or grace < was:
                when = {"deletionTimestamp": _now(), "deletionGracePeriodSeconds": grace}
                self._change(resource, namespace, name, {"metadata": when})
        else:
            self._remove(resource, namespace, name)

    def _remove(self, resource: str, namespace: str, name: str) -> None:
        key = (resource, namespace, name)
        if key in self._objects:
            self._put(key, copy.deepcopy(self._objects[key]), "DELETED")

    # HTTP

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path in PUBLISHED:
            if self.away:
                request.transport.close()
                return web.Response()
            if ("get", request.path) in self.forbidden:
                return _refused(Refused(403, "Forbidden", f'User "server" cannot get path "{request.path}"'))
            return web.json_response(self.keys.published() if "jwks" in request.path else {"issuer": ISSUER})
        parts = request.path.strip("/").split("/")
        verb = {"GET": "get", "POST": "create", "DELETE": "delete", "PATCH": "patch", "PUT": "update"}[
            request.method
        ]
        body = await request.text()
        obj = json.loads(body) if body else {}
        if parts[-1] == "selfsubjectreviews":
            return web.json_response({**obj, "status": {"userInfo": {"username": self.user}}}, status=201)
        if parts[0] == "apis":
            attributes = obj["spec"]["resourceAttributes"]
            allowed = (attributes["verb"], attributes["resource"]) not in self.forbidden
            return web.json_response({**obj, "status": {"allowed": allowed}}, status=201)
        namespace = parts[3] if parts[2] == "namespaces" else ""
        resource, name = (*parts[4:], "", "")[:2] if namespace else (*parts[2:], "", "")[:2]
        if verb == "get" and not name:
            verb = "watch" if request.query.get("watch") else "list"
        with self._lock:
            self.calls.append((verb, resource))
        if self.away:
            request.transport.close()
            return web.Response()
        if (
            self.tokens
            and request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens
        ):
            return _refused(Refused(401, "Unauthorized", "Unauthorized"))
        fault: Fault = ""
        if verb not in ("get", "list", "watch") and "dryRun" not in request.query and self.faults:
            fault = self.faults.pop(0)
        if isinstance(fault, int):
            return _refused(Refused(fault, "InternalError", f"acted trouble {fault}"))
        if fault == "drop":
            request.transport.close()
            return web.Response()
        try:
            if (verb, resource) in self.forbidden:
                where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
                raise Refused(
                    403,
                    "Forbidden",
                    f'{resource} is forbidden: User "server" cannot {verb} resource "{resource}" in API group '
                    f'"" {where}',
                )
            if verb == "watch":
                return await self._watch(request, resource, namespace)
            with self._lock:
                answer = self._do(verb, resource, namespace, name, obj, request.query)
        except Refused as refused:
            return _refused(refused)
        if fault == "lose":
            request.transport.close()
            return web.Response()
        return web.json_response(answer, status=201 if verb == "create" else 200)

    def _do(self, verb, resource, namespace, name, obj, query) -> dict:
        match verb:
            case "list":
                objects = [
                    copy.deepcopy(o)
                    for (r, n, _), o in self._objects.items()
                    if r == resource and namespace in ("", n) and _matches(o, query)
                ]
                return {"items": objects, "metadata": {"resourceVersion": str(self._version)}}
            case "get":
                objects = self._objects.get((resource, namespace, name))
                if objects is None:
                    raise Refused(404, "NotFound", f'{resource} "{name}" not found')
                return copy.deepcopy(objects)
            case "create":
                if namespace not in self.namespaces:
                    raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
                if "dryRun" in query:
                    return obj
                if self.refusal is not None and resource == "pods":
                    raise Refused(*self.refusal)
                return copy.deepcopy(self._create(resource, namespace, obj))
            case "patch":
                return copy.deepcopy(self._change(resource, namespace, name, obj))
            case "update":
                old = self._objects.get((resource, namespace, name))
                if old is None:
                    raise Refused(404, "NotFound", f'{resource} "{name}" not found')
                if old.get("type") != obj.get("type"):
                    raise Refused(422, "Invalid", f'Secret "{name}" is invalid: type: field is immutable')
                obj["metadata"] = {**old["metadata"], **obj["metadata"]}
                self._put((resource, namespace, name), obj, "MODIFIED")
                return copy.deepcopy(obj)
        grace = query.get("gracePeriodSeconds", obj.get("gracePeriodSeconds", 30))
        self._delete(resource, namespace, name, int(grace))
        return _status(200, "", "")

    async def _watch(self, request: web.Request, resource: str, namespace: str) -> web.StreamResponse:
        since = int(request.query.get("resourceVersion") or 0)
        queue: asyncio.Queue = asyncio.Queue()
        with self._lock:
            if since < self._oldest:
                raise Refused(410, "Expired", f"too old resource version: {since} ({self._oldest})")
            missed = [
                _line(change, obj)
                for version, change, r, n, obj in self._history
                if version > since and r == resource and namespace in ("", n) and _matches(obj, request.query)
            ]
            entry = (queue, resource, namespace, dict(request.query))
            self._watches.append(entry)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        try:
            await response.prepare(request)
            for line in missed:
                await response.write(line)
            while (line := await queue.get()) is not None:
                await response.write(line)
            if request.transport is not None:
                request.transport.close()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            with self._lock:
                if entry in self._watches:
                    self._watches.remove(entry)
        return response


class Refused(Exception):
    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = _status(code, reason, message)


def _refused(refused: Refused) -> web.Response:
    # The library looks at the exact type.
    body = json.dumps(refused.status).encode()
    return web.Response(
        body=body, status=refused.status["code"], headers={"Content-Type": "application/json"}
    )


def _status(code: int, reason: str, message: str) -> dict:
    return {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message}


def _line(change: str, obj: dict) -> bytes:
    # Without blanks, as the real one writes it.
    return json.dumps({"type": change, "object": obj}, separators=(",", ":")).encode() + b"\n"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _matches(obj: dict, query) -> bool:
    for selector, values in (
        ("labelSelector", obj["metadata"].get("labels") or {}),
        ("fieldSelector", {"involvedObject.kind": obj.get("involvedObject", {}).get("kind")}),
    ):
        for term in filter(None, query.get(selector, "").split(",")):
            name, _, value = term.replace("==", "=").partition("=")
            if values.get(name) != value:
                return False
    return True


def _merge(target, patch):
    if not isinstance(patch, dict):
        return patch
    target = target if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = _merge(target.get(name), value)
    return target


def event_about(pod: str, reason: str, message: str, at: str, component: str = "") -> dict:
    return {
        "metadata": {"name": f"{pod}.{uuid.uuid4().hex[:12]}", "namespace": "work"},
        "involvedObject": {"kind": "Pod", "name": pod, "namespace": "work", "apiVersion": "v1"},
        "reason": reason,
        "message": message,
        "lastTimestamp": at,
        "type": "Normal",
        "source": {"component": component},
    }
