"""The Kubernetes fleet: each worker is a plain pod that is created and deleted by name.

Level-triggered: the cluster is the only memory. Pods are found by their labels; a list and a watch keep a copy
of them (``informer_cache``), and ``observe`` answers from the copy, so it is fast and returns the last known
state while the API server is away. A request (create, delete, mark) is recorded at once and carried out by the
connection's thread: one call at a time for each worker and up to ``CALLS_IN_FLIGHT`` for all, repeated until it
succeeds. The controller repeats whatever a restart loses, because it compares the workers that it needs with
those that exist.

A worker costs three calls: create (marked as busy), unmark after some idle time, delete.

The long-lived tasks (three informers and the timer) are services of the supervisor. An unexpected
error about one worker is logged, becomes the worker's reason, and its call is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lightkube.resources.core_v1 import Event, Node, Pod, Secret
from lightkube.types import PatchType
from msgspec.structs import replace

from trunkline.drivers.fleets.kubernetes import client as kube
from trunkline.drivers.fleets.kubernetes import pod_policy, pod_refusals, pod_status, pods, preflight
from trunkline.drivers.fleets.kubernetes.informer import Informer
from trunkline.drivers.fleets.kubernetes.informer_cache import InformerCache
from trunkline.drivers.fleets.kubernetes.pod_decoding import as_pod
from trunkline.drivers.fleets.kubernetes.secrets import is_managed
from trunkline.drivers.fleets.kubernetes.workers import is_newer, labels_of
from trunkline.errors import InvalidArgument, Unavailable
from trunkline.model.field_support import Treatment, Unsupported
from trunkline.model.workers import Machine, WorkerPhase, WorkerSighting, WorkerSpec
from trunkline.runtime.supervision import ServiceLost, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from trunkline.drivers.fleets.kubernetes.pods import PodSettings
    from trunkline.drivers.fleets.kubernetes.workers import Action, Worker
    from trunkline.model.spec import PipelineSpec


log = logging.getLogger("trunkline.kubernetes")

#: Seconds between two checks for what only time changes.
TICK = 1.0
#: Seconds before the next try of a failed call or task; they double up to the second value.
FIRST_PAUSE, LAST_PAUSE = 0.2, 10.0
#: Seconds before the next try of a call that waiting is unlikely to fix.
UNSATISFIABLE_PAUSE = 30.0
#: Fields of a spec that pods do not honour; they honour all others.
UNSUPPORTED: Mapping[str, Unsupported] = MappingProxyType(
    {
        "transform.dockerfile": Unsupported(
            Treatment.WARN, "no image is built from it; build and push one, and name it in transform.image"
        ),
        "transform.debug": Unsupported(Treatment.WARN, "the log has all output of workers"),
    }
)


class KubernetesFleet:
    """Implements ``ports.Fleet``."""

    name = "kubernetes"
    #: Seconds; a pod whose image is on its node starts in 3, one that needs a new node in 50 to 100.
    startup_prior = 10.0

    def __init__(
        self, connection: kube.Connection, settings: PodSettings, supervisor: Supervisor | None = None
    ) -> None:
        """List the existing workers and start to follow them.

        Args:
            connection: the connection to the API server; it is closed with the fleet.
            settings: what all worker pods have in common.
            supervisor: restarts the informers and the timer; one of its own when None.

        Raises:
            FailedPrecondition: the namespace or a permission is missing, or the credentials are not accepted.
            Unavailable: the API server does not answer.
        """
        self.connection = connection
        self._settings = settings
        self._supervisor = supervisor or Supervisor()
        self._cache = cache = InformerCache(self._wake)
        self._dirty: set[str] = set()  # guarded by the lock of the cache
        self._closed = False
        self._complaints: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(kube.CALLS_IN_FLIGHT)
        namespace = settings.namespace
        self._pods = Informer(
            connection,
            Pod,
            namespace=namespace,
            labels=pods.selector(settings),
            listed=cache.pods_listed,
            changed=cache.pod_changed,
            failed=lambda error: self._trouble("watch", "pods", error),
        )
        self._events = Informer(
            connection,
            Event,
            namespace=namespace,
            fields={"involvedObject.kind": "Pod"},
            changed=cache.event_changed,
            failed=lambda error: self._trouble("watch", "events", error),
        )
        self._nodes = Informer(
            connection,
            Node,
            namespace=None,
            listed=cache.nodes_listed,
            changed=cache.node_changed,
            failed=lambda error: self._trouble("watch", "nodes", error),
        )
        try:
            connection.run(self._begin())
        except BaseException:
            connection.close()
            raise

    @property
    def cache(self) -> InformerCache:
        """The last known state of the cluster."""
        return self._cache

    # the port

    def start(self, spec: WorkerSpec) -> None:
        """Request a worker; see ``ports.Fleet``."""
        patched = bool(spec.pipeline_spec.pod_spec or spec.pipeline_spec.pod_patch)
        rendered = pods.render(spec, self._settings)
        pod = as_pod(rendered, strictly=patched)
        with self._cache.lock:
            if self._closed:
                raise Unavailable("the server is shutting down and starts no workers; start it again")
            new = self._cache.request(spec.worker_id, pods.pod_name(spec), pod)
            if new:
                self._cache.workers[spec.worker_id].secrets = self._foreign_secrets(spec, rendered)
        if new:
            self._wake(spec.worker_id)

    def unsupported(self, spec: PipelineSpec) -> Mapping[str, Unsupported]:
        """Return the fields that pods do not honour; see ``ports.Fleet``."""
        del spec
        return UNSUPPORTED

    def check(self, spec: WorkerSpec) -> None:
        """Refuse a worker that no pod can be or whose pod names what it must not; see ``ports.Fleet``. Blocks."""
        rendered = pods.render(spec, self._settings)
        as_pod(rendered)
        if foreign := self._foreign_secrets(spec, rendered):
            try:
                self.connection.run(self._check_secrets(foreign))
            except kube.FAILURES as error:
                raise kube.translated(
                    error, self.connection.server, self._settings.namespace, "get", "secrets"
                ) from error

    def _foreign_secrets(self, spec: WorkerSpec, rendered: dict[str, Any]) -> set[str]:
        """Return the secrets of a pod that neither the administrator nor ``transform.secrets`` names.

        ``create pipeline`` has checked those of ``transform.secrets``.
        """
        config = self._settings.config
        transform = spec.pipeline_spec.transform
        return (
            pod_policy.secrets_of(rendered)
            - {each.name for each in (transform.secrets if transform is not None else ())}
            - {*config.policy.secrets, *pod_policy.secrets_of({"spec": config.defaults.get("spec", {})})}
        )

    async def _check_secrets(self, names: set[str]) -> None:
        """Check that secrets were made through Trunkline; one that does not exist gives nothing away.

        Raises:
            InvalidArgument: one of them was not.
            Exception: one of ``client.FAILURES``.
        """
        for name in sorted(names):
            try:
                secret = await self.connection.client.get(Secret, name)
            except kube.FAILURES as error:
                if kube.code(error) == 404:
                    continue
                raise
            if not is_managed(secret):
                raise InvalidArgument(
                    f'the pipeline uses the secret "{name}", which was not made with "trunkline create secret"; use '
                    "one that was, or have an administrator add it to workers.allowedSecrets"
                )

    def stop(self, worker_id: str, grace: float) -> None:
        """Request the end of a worker; see ``ports.Fleet``. One that is gone already is forgotten."""
        with self._cache.lock:
            act = self._cache.request_removal(worker_id, time.monotonic() + max(0.0, grace))
        if act:
            self._wake(worker_id)

    def mark(self, worker_id: str, *, busy: bool) -> None:
        """Record whether a worker holds work; see ``ports.Fleet``. Idleness of seconds is not passed on."""
        with self._cache.lock:
            worker = self._cache.workers.get(worker_id)
            if worker is None or worker.busy == busy:
                return
            worker.busy = busy
            worker.idle_since = time.monotonic()
        if busy:
            self._wake(worker_id)

    def observe(self) -> Sequence[WorkerSighting]:
        """Return every worker; see ``ports.Fleet``."""
        return self._cache.sightings()

    def machines(self) -> Sequence[Machine]:
        """Return the nodes that workers are on or that are chosen for them; see ``ports.Fleet``."""
        return self._cache.machines()

    def close(self, grace: float) -> None:
        """Finish the calls under way and close the connection; see ``ports.Fleet``. Pods run on."""
        with self._cache.lock:
            if self._closed:
                return
            self._closed = True
        self.connection.run(self._finish(min(grace, kube.CALL_SECONDS)))
        self.connection.close()

    # beginning and ending

    async def _begin(self) -> None:
        """Read the cluster once, check every permission, and start the informers and the timer."""
        try:
            await self._pods.list()
        except kube.FAILURES as error:
            raise preflight.start_error(self.connection, self._settings, error, "list") from error
        await preflight.check(self.connection, self._settings)
        self._go(self._keep(self._pods.follow, "kubernetes-pods"), "kubernetes-pods")
        self._go(self._keep(self._tick, "kubernetes-timer"), "kubernetes-timer")
        for following, resource, kind, loss in (
            (self._events, "events", "Role", "say less about why workers wait"),
            (self._nodes, "nodes", "ClusterRole", "know little of the machines"),
        ):
            assert isinstance(following, Informer)
            try:
                await following.list()
            except kube.FAILURES as error:
                if not kube.is_rbac(error):
                    raise preflight.start_error(self.connection, self._settings, error, "list") from error
                rule = kube.rbac_rule("list, watch", resource)
                log.warning(
                    "the server may not list %s and will %s; add to its %s: %s", resource, loss, kind, rule
                )
            else:
                self._go(self._keep(following.follow, f"kubernetes-{resource}"), resource)

    def _go(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, service: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        with contextlib.suppress(ServiceLost):  # the supervisor has reported it, and the server exits
            await self._supervisor.keep(name, service)

    async def _finish(self, grace: float) -> None:
        acting = [task for task in self._tasks if task.get_name() == "act"]
        if acting:
            await asyncio.wait(acting, timeout=grace)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            for worker_id in self._cache.overdue(time.monotonic()):
                self._wake(worker_id)

    # making the cluster match

    def _wake(self, worker_id: str) -> None:
        """Make the connection's thread check a worker."""
        with self._cache.lock:
            first = not self._dirty
            self._dirty.add(worker_id)
        if first:
            self.connection.soon(self._look)

    def _look(self) -> None:
        with self._cache.lock:
            dirty, self._dirty = self._dirty, set()
            workers = self._cache.workers
            changed = [workers[worker_id] for worker_id in dirty if worker_id in workers]
            idle = [worker for worker in changed if not worker.acting]
            for worker in changed:
                if worker.acting and worker.poke is not None and worker.stop_by is not None:
                    worker.poke.set()
            for worker in idle:
                worker.acting = True
        for worker in idle:
            self._go(self._act(worker), "act")

    async def _act(self, worker: Worker) -> None:
        """Make calls for a worker until nothing is left to do."""
        failures = 0
        try:
            while True:
                async with self._slots:
                    action = self._next_action(worker)
                    if action is None:
                        return
                    try:
                        await self._do(worker, action)
                        failures = 0
                        continue
                    except kube.FAILURES as error:
                        failures += 1
                        pause = self._failed(worker, action, error, failures)
                    except InvalidArgument as error:
                        pause = UNSATISFIABLE_PAUSE
                        self._explain(worker, pod_status.WaitReason(error.message, unsatisfiable=True))
                    except Exception as error:  # a fault of ours
                        log.exception(
                            "cannot %s the pod of worker %s; it will be tried again",
                            action,
                            worker.worker_id,
                            extra={"action": f"pod_{action}_error", "worker_id": worker.worker_id},
                        )
                        failures += 1
                        pause = _pause_after(failures)
                        if action == "create":
                            self._explain(worker, pod_refusals.internal_error(error))
                await self._pause(worker, action, pause)
        finally:
            worker.acting = False

    def _next_action(self, worker: Worker) -> Action | None:
        """Return the next call for a worker; None ends its task, and the next wake-up starts another."""
        with self._cache.lock:
            action = worker.next_action(time.monotonic()) if self._cache.contains(worker) else None
            if action is None:
                worker.acting = False  # in the lock, so that no wake-up is lost
            return action

    async def _pause(self, worker: Worker, action: Action, seconds: float) -> None:
        """Wait before the next try; a request to stop the worker ends the wait."""
        with self._cache.lock:
            if worker.stop_by is not None and action != "delete":
                return
            worker.poke = poke = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await poke.wait()
        except TimeoutError:
            pass
        finally:
            worker.poke = None

    async def _do(self, worker: Worker, action: Action) -> None:
        match action:
            case "create":
                await self._create(worker)
            case "delete":
                await self._delete(worker)
            case "mark":
                await self._mark(worker)

    async def _create(self, worker: Worker) -> None:
        pod = worker.to_create
        if pod is None:
            return
        await self._check_secrets(worker.secrets)
        worker.attempted = True
        try:
            await self.connection.client.create(pod)
        except kube.FAILURES as error:
            if kube.reason(error) != "AlreadyExists":
                raise
            existing = await self.connection.client.get(Pod, worker.name)
            if labels_of(existing).get(pods.WORKER) != worker.worker_id:
                raise
        with self._cache.lock:
            worker.to_create = None
            worker.done_at = time.monotonic()
            if worker.pod is None:
                reason = "was created and waits to be placed on a node"
                worker.sighting = replace(worker.sighting, reason=reason, unsatisfiable=False, queued=False)

    async def _delete(self, worker: Worker) -> None:
        with self._cache.lock:
            by = worker.stop_by
            assert by is not None
            # A pod without a process needs no time. With 0, the API server would not wait for the node to end one.
            runs = worker.sighting.phase is WorkerPhase.RUNNING and not worker.force
            grace = max(1, math.ceil(by - time.monotonic())) if runs else 0
        try:
            await self.connection.client.delete(Pod, worker.name, grace_period=grace)
        except kube.FAILURES as error:
            if kube.code(error) != 404:
                raise
            with self._cache.lock:
                self._cache.forget(worker)  # if a create is still under way, the watch reports its pod
        with self._cache.lock:
            worker.sent_stop_by = by
            worker.done_at = time.monotonic()

    async def _mark(self, worker: Worker) -> None:
        change = {"metadata": {"annotations": pods.BUSY if worker.busy else pods.IDLE}}
        try:
            pod = await self.connection.client.patch(Pod, worker.name, change, patch_type=PatchType.MERGE)
        except kube.FAILURES as error:
            if kube.code(error) != 404:
                raise
            with self._cache.lock:  # the watch reports that it is gone
                worker.leaving_since = worker.leaving_since or time.monotonic()
            return
        with self._cache.lock:
            worker.marks += 1
            if worker.pod is not None and not is_newer(worker.pod, pod):
                worker.pod = pod

    def _failed(self, worker: Worker, action: Action, error: Exception, failures: int) -> float:
        """Record why a call failed.

        Args:
            worker: the worker that the call was for.
            action: the call.
            error: what it raised, one of ``client.FAILURES``.
            failures: how many calls for this worker have failed in a row.

        Returns:
            Seconds before the next try.
        """
        pause = _pause_after(failures)
        if action == "create":
            why = pod_refusals.not_created(
                kube.code(error), kube.reason(error), kube.message(error), self._settings.namespace
            )
            self._explain(worker, why)
            if why.unsatisfiable:
                pause = UNSATISFIABLE_PAUSE
        if action != "create" or kube.code(error) == 0:
            self._trouble("patch" if action == "mark" else action, "pods", error)
        return max(pause, kube.retry_after(error))

    def _explain(self, worker: Worker, why: pod_status.WaitReason) -> None:
        with self._cache.lock:
            if worker.pod is None:  # otherwise the watch has reported that the pod exists all the same
                worker.sighting = replace(
                    worker.sighting, reason=why.sentence, unsatisfiable=why.unsatisfiable, queued=why.queued
                )

    def _trouble(self, verb: str, resource: str, error: Exception) -> None:
        """Log a failed call, as a warning the first time of each kind."""
        namespace = "" if resource == "nodes" else self._settings.namespace
        message = kube.translated(error, self.connection.server, namespace, verb, resource).message
        kind = f"{verb} {resource} {kube.code(error)}"
        level = logging.INFO if kind in self._complaints else logging.WARNING
        self._complaints.add(kind)
        log.log(level, "%s; it will be tried again, and workers run on meanwhile", message)


def _pause_after(failures: int) -> float:
    """Return seconds before the next try after so many failures in a row."""
    seconds: float = min(LAST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 10)) * random.uniform(0.5, 1.0)
    return seconds
