"""Workers as pods on a real Kubernetes, and 1,000 of them on simulated nodes.

The peers, from the same run on the same cluster: bare creates of the same pod by the same client library with as
many concurrent calls, the start of bare pods of the same image, and the process fleet. Times of calls come from the
API server's audit log; phases of pods get the time at which a watch reports them; commands report over the network
when they run.

Needs root and the folder named by KUBEBUILDER_ASSETS, as ``scripts/test-kubernetes`` does; says so otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import common
import grpc
import grpc.aio
import psutil
from lightkube import AsyncClient, KubeConfig
from lightkube.resources.core_v1 import Pod

from trunkline.rpc.gen import worker_api_pb2

sys.path.append(str(Path(__file__).parents[1] / "tests" / "kubernetes"))
import cluster as clusters
import images
import installation
from standins.api import Api

#: Seconds that a command works where the length of a job is measured.
WORK = 3.0
#: Seconds of work beside which starting another pod takes long.
SHORT = 0.1
MANY = 1000
DATUMS = 500
#: Calls under way together, of the fleet and of the bare creates.
IN_FLIGHT = 32
SMALL = {"cpu": 0.01, "memory": "16Mi"}
#: A pipeline of five small pods at most, with a datum in each run.
FIVE: dict[str, Any] = {
    "image": images.BUSYBOX,
    "autoscaling": True,
    "parallelism_spec": {"constant": 5},
    "resource_requests": SMALL,
    "datum_set_spec": {"number": 1},
}
FAKE = {
    "nodeSelector": {"type": clusters.FAKE_LABEL},
    "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
}
USER = {"kind": "User", "name": "trunkline", "apiGroup": "rbac.authorization.k8s.io"}


class Watch:
    """The changes of a namespace's pods that a watch reported, with the time of this machine's clock."""

    def __init__(self, cluster: clusters.Cluster, namespace: str) -> None:
        self.changes: list[tuple[float, str, str, str]] = []
        self._watch = lambda: cluster.watch_pods(subprocess.PIPE, namespace)
        self._process, self._closed = self._watch(), False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            for line in self._process.stdout:
                self.changes.append((time.time(), *clusters.pod_change(line)))
            self._process.wait()
            if self._closed:
                return
            # The API server ends the watches of slow readers; the next watch begins with all existing pods.
            self._process = self._watch()

    def first(self, phase: str) -> dict[str, float]:
        """Return when each pod was first seen in a phase."""
        times: dict[str, float] = {}
        for at, change, pod, current in list(self.changes):
            if current == phase and change != "DELETED":
                times.setdefault(pod, at)
        return times

    def close(self) -> None:
        self._closed = True
        self._process.kill()
        self._thread.join()


class IdleWorkers:
    """Makes the calls that workers in simulated pods would make: register, and wait for work."""

    #: Seconds that a worker lets the server wait, and workers on one connection: a thousand would do nothing else.
    WAIT, ON_ONE = 300.0, 20

    def __init__(self, address: str, pods: list[dict[str, Any]], api: Api) -> None:
        self._credentials = [credentials(pod, api) for pod in pods]
        self._address = address
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._run(),), daemon=True
        )
        self._thread.start()

    async def _run(self) -> None:
        parts = [self._credentials[at :: self.ON_ONE] for at in range(self.ON_ONE)]
        await asyncio.gather(*(self._some(part) for part in parts))

    async def _some(self, credentials: list[tuple[tuple[str, str], ...]]) -> None:
        async with grpc.aio.insecure_channel(self._address) as channel:
            register = channel.unary_unary("/trunkline.worker.v1.Worker/Register")
            claim = channel.unary_unary("/trunkline.worker.v1.Worker/Claim")
            wait = worker_api_pb2.ClaimRequest(wait_seconds=self.WAIT).SerializeToString()

            async def live(metadata: tuple[tuple[str, str], ...]) -> None:
                await register(b"", metadata=metadata)
                while not worker_api_pb2.ClaimResponse.FromString(
                    await claim(wait, metadata=metadata)
                ).retire:
                    pass

            await asyncio.gather(*map(live, credentials))

    def join(self) -> None:
        self._thread.join()


def credentials(pod: dict[str, Any], api: Api) -> tuple[tuple[str, str], ...]:
    """Return what the worker of a pod sends to prove who it is: the token that the kubelet would project."""
    [worker] = [each for each in pod["spec"]["containers"] if each["name"] == "worker"]
    variables = {each["name"]: each.get("value", "") for each in worker["env"]}
    [volume] = [each for each in pod["spec"]["volumes"] if each["name"] == "identity"]
    projection = volume["projected"]["sources"][0]["serviceAccountToken"]
    metadata = pod["metadata"]
    request = {
        "audiences": [projection["audience"]],
        "expirationSeconds": projection["expirationSeconds"],
        "boundObjectRef": {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
    }
    account = (
        f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{pod['spec']['serviceAccountName']}"
    )
    answer = api.create(f"{account}/token", {"spec": request})
    return ("worker-id", variables["TRUNKLINE_WORKER_ID"]), ("worker-token", answer["status"]["token"])


class Bench:
    """A cluster, and the fleets and servers on it."""

    def __init__(self, cluster: clusters.Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        node = cluster.add_node([images.pause(folder), images.busybox(folder, images.BUSYBOX)])
        for archive in installation.build_images(folder / "trunkline"):
            node.load(archive)
        cluster.start_kwok()
        cluster.add_fake_nodes(10)
        self._namespaces = 0

    def namespace(self) -> str:
        """Create a namespace in which the server has its rights."""
        self._namespaces += 1
        name = f"bench-{self._namespaces}"
        self.cluster.kubectl("create", "namespace", name)
        self.cluster.apply(*installation.rights(name, USER))
        clusters.until(
            lambda: self.cluster.kubectl("-n", name, "get", "sa", "default", check=False), "its account"
        )
        return name

    @contextlib.contextmanager
    def server(self, namespace: str) -> Iterator[common.Server]:
        """Run a server whose workers are pods of a namespace."""
        os.environ["KUBECONFIG"] = str(self.cluster.kubeconfig_of("trunkline"))
        options = ["--fleet", "kubernetes", "--namespace", namespace]
        options += ["--worker-image", installation.WORKER_IMAGE]
        # An address that pods reach.
        with common.server(*options, "--listen", f"{self.cluster.host}:0", "--insecure") as server:
            yield server

    def creates(self, user: str, namespace: str) -> list[float]:
        """Return when the API server had answered the pod creates of a user."""
        return sorted(
            clusters.stamp(entry["stageTimestamp"])
            for entry in self.cluster.audited(user)
            if entry["verb"] == "create"
            and clusters.resource_of(entry) == "pods"
            and entry["objectRef"].get("namespace") == namespace
        )


def bare_creates(bench: Bench, namespace: str, pod: dict[str, Any], count: int) -> None:
    """Create ``count`` copies of a pod with the client library."""

    async def create_all() -> None:
        config = KubeConfig.from_file(bench.cluster.kubeconfig_of("bare")).get()
        client = AsyncClient(config, namespace=namespace)
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def create(number: int) -> None:
            async with slots:
                await client.create(Pod.from_dict(numbered(pod, namespace, number)))

        await asyncio.gather(*(create(number) for number in range(count)))
        await client.close()

    asyncio.run(create_all())


def numbered(pod: dict[str, Any], namespace: str, number: int) -> dict[str, Any]:
    """Return a copy of a pod without the fields that the API server has added."""
    like = copy.deepcopy(pod)
    like["metadata"] = {
        "name": f"bare-{number}",
        "namespace": namespace,
        "labels": {**pod["metadata"]["labels"], "app.kubernetes.io/managed-by": "bench"},
        "annotations": pod["metadata"].get("annotations", {}),
    }
    like.pop("status", None)
    for field in ("nodeName", "serviceAccount", "serviceAccountName", "priority", "preemptionPolicy"):
        like["spec"].pop(field, None)
    return like


def script(work: float, url: str = "", repo: str = "data") -> list[str]:
    """Return a command that reports that it runs, works, and copies its input."""
    tell = f"wget -q -O /dev/null {url}/$(basename /pfs/{repo}/*); " if url else ""
    return ["sh", "-ec", f"{tell}sleep {work:g}; cp /pfs/{repo}/* /pfs/out/"]


def files(count: int) -> Iterator[tuple[str, bytes]]:
    return ((f"/{number:06d}", b"%d" % number) for number in range(count))


def settled(bench: Bench, namespace: str) -> None:
    """Wait until no worker is left."""
    clusters.until(lambda: not installation.pods_of(bench.cluster, namespace), "the workers to be gone")


# --- five workers from zero ----------------------------------------------------------------------------------


def five(bench: Bench, turns: int = 5) -> list[list[str]]:
    """Measure a job of ten datums on five pods, from zero workers."""
    created, commanded, whole, calls = [], [], [], []
    namespace = bench.namespace()
    ledger = installation.Ledger(bench.cluster.host)
    ledger.let_go()
    with bench.server(namespace) as server:
        server.create_repo("data")
        server.create_pipeline("each", script(WORK, ledger.url), "data", **FIVE)
        pod = None
        for turn in range(turns):
            watch = Watch(bench.cluster, namespace)
            counted = len(bench.creates("trunkline", namespace))
            before = sum(bench.cluster.asked("trunkline").values())
            ledger.forget()
            commit = server.start_commit("data")
            server.put(commit, ((f"/{turn}-{path[1:]}", data) for path, data in files(10)))
            begun = time.time()
            server.finish_commit(commit)
            server.wait_job("each", commit.id)
            whole.append(time.time() - begun)
            pod = pod or installation.pods_of(bench.cluster, namespace)[0]
            settled(bench, namespace)
            stamps = bench.creates("trunkline", namespace)[counted:]
            created.append(stamps[4] - begun)
            running = sorted(watch.first("Running").values())
            commanded += [
                reported - ran for reported, ran in zip(ledger.times()[: len(running)], running, strict=True)
            ]
            calls.append((sum(bench.cluster.asked("trunkline").values()) - before) / len(stamps))
            watch.close()
    bare = [bare_start(bench, pod) for _ in range(turns)]
    ledger.close()
    limit = common.median(bare) + 2 * WORK + 2
    head = common.median(whole)
    return [
        ["commit -> five worker pods created", common.spread(created, 1000, 0) + " ms", "", "300 ms"],
        ["pod Running -> its command starts", common.spread(commanded, 1000, 0) + " ms", "", "1000 ms"],
        ["five bare pods of that kind: created -> all Running", common.spread(bare, 1, 2) + " s", "1", ""],
        [
            f"commit of ten files -> job done, five pods from zero, {WORK:g} s of work each",
            common.spread(whole, 1, 2) + " s",
            f"{head / common.median(bare):.1f}",
            f"{limit:.1f} s",
        ],
        ["API calls per worker life, watches included", common.spread(calls, 1, 1), "", "6"],
    ]


def bare_start(bench: Bench, pod: dict[str, Any]) -> float:
    """Return how long five pods of a kind take from their creates to Running."""
    namespace = bench.namespace()
    watch = Watch(bench.cluster, namespace)
    begun = time.time()
    bare_creates(bench, namespace, pod, 5)
    clusters.until(lambda: len(watch.first("Running")) == 5, "five bare pods to run")
    took = max(watch.first("Running").values()) - begun
    watch.close()
    bench.cluster.kubectl("delete", "namespace", namespace)
    return took


# --- a second batch ------------------------------------------------------------------------------------------


def second(bench: Bench, turns: int = 3) -> list[list[str]]:
    """Measure two batches of ten datums on five pods at most; only in the second are the times of datums known."""
    namespace = bench.namespace()
    rows = []
    with bench.server(namespace) as server:
        for number, work in enumerate((WORK, SHORT)):
            pairs = [
                two_batches(bench, server, namespace, f"batches-{number}-{turn}", work)
                for turn in range(turns)
            ]
            firsts, others = zip(*pairs, strict=True)
            ratios = [other.seconds / first.seconds for first, other in pairs]
            title = f"ten datums of {work:g} s on at most five pods, from zero"
            rows += [
                [f"{title}: times unknown", took(firsts), "1", ""],
                [f"{title}: times known", took(others), common.spread(ratios, 1, 2), "1.1"],
            ]
    return rows


class Batch(NamedTuple):
    """A job of new datums: from its commit to its end, and the pods that it started."""

    seconds: float
    pods: int


def took(batches: Sequence[Batch]) -> str:
    """Return times and numbers of pods for a table."""
    pods = ", ".join(str(batch.pods) for batch in batches)
    return f"{common.spread([batch.seconds for batch in batches], 1, 2)} s by {pods} pods"


def two_batches(
    bench: Bench, server: common.Server, namespace: str, name: str, work: float
) -> tuple[Batch, Batch]:
    """Run two batches on a new pipeline, each from zero workers to zero.

    Args:
        bench: the cluster.
        server: a server on it.
        namespace: where the server's workers are.
        name: of the repo; the pipeline's name begins with it.
        work: seconds that a datum takes.
    """
    server.create_repo(name)
    server.create_pipeline(f"{name}-each", script(work, repo=name), name, **FIVE)

    def run(turn: int) -> Batch:
        created = len(bench.creates("trunkline", namespace))
        commit = server.start_commit(name)
        server.put(commit, ((f"/{turn}-{path[1:]}", data) for path, data in files(10)))
        begun = time.time()
        server.finish_commit(commit)
        server.wait_job(f"{name}-each", commit.id)
        seconds = time.time() - begun
        settled(bench, namespace)
        return Batch(seconds, len(bench.creates("trunkline", namespace)) - created)

    return run(1), run(2)


# --- datums --------------------------------------------------------------------------------------------------


def datums(bench: Bench, turns: int = 3) -> list[list[str]]:
    """Measure a datum in a pod and in a process, both with two warm workers."""
    spec: dict[str, Any] = {"parallelism_spec": {"constant": 2}, "resource_requests": SMALL}
    pods, processes, calls = [], [], 0
    for _ in range(turns):
        namespace = bench.namespace()
        with bench.server(namespace) as server:
            server.create_repo("data")
            server.create_pipeline("each", ["true"], "data", image=images.BUSYBOX, **spec)
            server.await_workers("each", 2)
            before = bench.cluster.asked("trunkline")
            pods.append(one_job(server))
            requests = bench.cluster.asked("trunkline") - before
            calls += sum(number for (verb, _), number in requests.items() if verb not in ("list", "watch"))
        bench.cluster.kubectl("delete", "namespace", namespace, "--wait=false")
        with common.server() as server:
            server.create_repo("data")
            server.create_pipeline("each", ["true"], "data", **spec)
            server.await_workers("each", 2)
            processes.append(one_job(server))
    ratio = common.median(pods) / common.median(processes)
    each = 1000.0 / DATUMS
    return [
        [
            f"process fleet: a datum of `true`, of {DATUMS}",
            common.spread(processes, each, 2) + " ms",
            "1",
            "",
        ],
        ["pods: the same", common.spread(pods, each, 2) + " ms", f"{ratio:.2f}", "1.3"],
        [f"API calls for {turns * DATUMS} datums on warm workers", str(calls), "", "0"],
    ]


def one_job(server: common.Server) -> float:
    commit = server.start_commit("data")
    server.put(commit, files(DATUMS))
    return common.timed(lambda: (server.finish_commit(commit), server.wait_job("each", commit.id)))


# --- many ----------------------------------------------------------------------------------------------------


def many(bench: Bench) -> list[list[str]]:
    """Measure a thousand workers in one step, on simulated nodes."""
    namespace, other = bench.namespace(), bench.namespace()
    with bench.server(namespace) as server:
        process = psutil.Process(server.process.pid)
        server.create_repo("data")
        watch = Watch(bench.cluster, namespace)
        busy = cpu(process)
        asked = bench.cluster.asked("trunkline")
        begun = time.time()
        server.create_pipeline(
            "each",
            ["true"],
            "data",
            image=images.BUSYBOX,
            parallelism_spec={"constant": MANY},
            resource_requests=SMALL,
            pod_spec=json.dumps(FAKE),
        )
        clusters.until(lambda: len(watch.first("Running")) >= MANY, f"{MANY} pods to run", 600)
        all_running = max(watch.first("Running").values()) - begun
        worked = cpu(process) - busy
        stamps = bench.creates("trunkline", namespace)
        rate = (len(stamps) - 1) / (stamps[-1] - stamps[0])
        pods = installation.pods_of(bench.cluster, namespace)
        workers = IdleWorkers(server.address, pods, Api(bench.cluster.kubeconfig_of("admin")))
        server.await_workers("each", MANY, 300)
        # Idle workers are marked as removable: one call each.
        while writes(bench.cluster.asked("trunkline") - asked, "patch") < MANY:
            time.sleep(1)
        steady(process)
        before, at = cpu(process), time.monotonic()
        calls = sum(bench.cluster.asked("trunkline").values())
        time.sleep(30)
        idle = (cpu(process) - before) / (time.monotonic() - at)
        idle_calls = sum(bench.cluster.asked("trunkline").values()) - calls
        memory = process.memory_info().rss / (1 << 20)
        began = time.time()
        server.channel.unary("/pps_v2.API/StopPipeline", stop_request("each"), 120.0)
        clusters.until(lambda: not installation.pods_of(bench.cluster, namespace), "all to be gone", 600)
        seconds_to_stop = time.time() - began
        workers.join()
        requests = bench.cluster.asked("trunkline") - asked
        watch.close()
    bare_creates(bench, other, pods[0], MANY)
    bare = bench.creates("bare", other)[-MANY:]
    bare_rate = (len(bare) - 1) / (bare[-1] - bare[0])
    return [
        [f"bare creates of {MANY} such pods, {IN_FLIGHT} at a time", f"{bare_rate:.0f}/s", "1", ""],
        [f"{MANY} workers created in one step", f"{rate:.0f}/s", f"{rate / bare_rate:.2f}", "0.8"],
        ["first to last: create pipeline -> all pods Running", f"{all_running:.1f} s", "", ""],
        ["processor time of the server until then", f"{worked:.1f} s", "", ""],
        [
            f"processor of the server with {MANY} idle workers, 30 s",
            f"{100 * idle:.1f} % of a core",
            "",
            "2 %",
        ],
        ["API calls in these 30 s", str(idle_calls), "", "0"],
        ["memory of the server beside them", f"{memory:.0f} MiB", "", ""],
        [f"stop pipeline -> all {MANY} pods gone", f"{seconds_to_stop:.1f} s", "", ""],
        [
            "API calls that change something, per worker",
            f"{writes(requests, 'create', 'delete', 'patch') / MANY:.2f}",
            "",
            "",
        ],
    ]


def writes(requests: Counter[tuple[str, str]], *verbs: str) -> int:
    """Return the number of requests with these verbs."""
    return sum(number for (verb, _), number in requests.items() if verb in verbs)


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def steady(process: psutil.Process) -> None:
    """Wait until the server uses equal processor time in two seconds in a row, a minute at most."""
    last = None
    for _ in range(60):
        before = cpu(process)
        time.sleep(1)
        spent = cpu(process) - before
        if last is not None and abs(spent - last) < 0.02:
            return
        last = spent


def stop_request(name: str) -> bytes:
    from trunkline.rpc.gen import pps_pb2

    return pps_pb2.StopPipelineRequest(pipeline=pps_pb2.Pipeline(name=name)).SerializeToString()


# --- a server that is replaced -------------------------------------------------------------------------------


def replaced(bench: Bench, turns: int = 3) -> list[list[str]]:
    """Kill the server during a job, start another, and measure when the work goes on."""
    waits, twice = [], 0
    for _ in range(turns):
        namespace = bench.namespace()
        ledger = installation.Ledger(bench.cluster.host)
        server = installation.local_server(bench.cluster, namespace, bench.folder / namespace).start()
        lean = common.Server(server.address, bench.folder, server.process, 0.0)
        lean.create_repo("data")
        lean.create_pipeline(
            "each",
            script(0.2, ledger.url),
            "data",
            image=images.BUSYBOX,
            autoscaling=True,
            parallelism_spec={"constant": 3},
            resource_requests=SMALL,
            datum_set_spec={"number": 1},
        )
        commit = lean.start_commit("data")
        lean.put(commit, files(30))
        lean.finish_commit(commit)
        clusters.until(lambda: len(ledger.runs) == 3, "three commands to run")
        server.kill()
        ledger.let_go()
        server.start()
        ready, count = time.time(), len(ledger.times())
        clusters.until(lambda: len(ledger.times()) > count, "the work to go on")
        waits.append(ledger.times()[count] - ready)
        again = common.Server(server.address, bench.folder, server.process, 0.0)
        again.wait_job("each", commit.id)
        twice += sum(ledger.runs.values()) - len(ledger.runs)
        server.close()
        ledger.close()
        bench.cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    return [
        ["new server ready -> the next datum begins", common.spread(waits, 1, 2) + " s", "", "5 s"],
        [f"datums run twice in {turns} jobs of 30", str(twice), "", "0"],
    ]


TABLES = {
    "five": ("Five workers as pods", five),
    "second": ("A second batch", second),
    "datums": ("Datums in pods", datums),
    "replaced": ("A server that is replaced", replaced),
    "many": (f"{MANY} workers", many),
}


def main() -> None:
    if os.environ.pop("KUBECONFIG", None) and not os.environ.get("KUBEBUILDER_ASSETS"):
        print("kubernetes: skipped: it counts calls of the API server, which needs a cluster of its own")
        return
    if lacking := clusters.missing():
        print(f"kubernetes: skipped: {lacking}")
        return
    head = ["what", "median (min - max)", "times the bare", "to reach"]
    with tempfile.TemporaryDirectory(dir=common.SCRATCH) as folder:
        cluster = clusters.Cluster(Path(os.environ["KUBEBUILDER_ASSETS"]))
        try:
            bench = Bench(cluster, Path(folder))
            for name in sys.argv[1:] or TABLES:
                title, measure = TABLES[name]
                common.table(title, head, measure(bench))
        finally:
            cluster.close()


if __name__ == "__main__":
    main()
