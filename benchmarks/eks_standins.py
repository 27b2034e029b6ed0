"""What scaling costs on Fargate and on a node group, beside Pachyderm's rule, on stand-ins of both.

The API server and the scheduler are real, the machines are simulated, the workers are real processes. The waiting times
of AWS and of the peer's rule are ``SPEED`` times shorter: a start of 50 seconds takes 10, the 30 seconds between
Pachyderm's decisions take 6. Our own overhead (starting processes, reporting datums) is not shortened, so it counts
five times as much as it would.

The peer is the rule that ``simulation`` describes, in the same server in the place of ``policy.decide``. Other
differences between the two systems are not measured.

Needs root and the folder named by KUBEBUILDER_ASSETS, as ``scripts/test-kubernetes`` does; says so otherwise.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
from simulation import PachydermRule

from trunkline.rpc.gen import pps_pb2
from trunkline.scaling import policy

sys.path.append(str(Path(__file__).parents[1] / "tests" / "kubernetes"))
import cluster as clusters
import installation
from standins.autoscaler import GROUP, M5_XLARGE, ClusterAutoscaler, Group, blocks, on_node
from standins.fargate import Fargate, Startup
from standins.stage import Stage

from trunkline.scaling.profiles import Profile, Selector

SPEED = 5.0
START = 50.0 / SPEED  # seconds: the model's median of Fargate
DATUMS, SECONDS, WORKERS = 60, 1.0, 5
WORK = DATUMS * SECONDS
LONG = 30.0  # seconds of the one datum that outlasts all others, whenever it is begun
USER = {"kind": "User", "name": "trunkline", "apiGroup": "rbac.authorization.k8s.io"}
#: Asks the same file to serve by the other rule.
OTHER_RULE = "--by-pachyderms-rule"
OURS, PACHYDERM = "Trunkline", "Pachyderm's rule"


# --- the stage -----------------------------------------------------------------------------------------------


class Bench:
    """A cluster with stand-ins, and a namespace for each run."""

    def __init__(self, cluster: clusters.Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.startup = Startup(speed=SPEED, sigma=0.0)
        self.stage = Stage(cluster, pull=self._pull)
        self._runs = 0

    def _pull(self, pod: dict[str, Any]) -> float:
        return self.startup.pull() if pod["spec"].get("schedulerName") == "fargate-scheduler" else 0.0

    def namespace(self) -> str:
        self._runs += 1
        name = f"run-{self._runs}"
        self.cluster.kubectl("create", "namespace", name)
        self.cluster.apply(*installation.rights(name, USER))
        return name

    @contextlib.contextmanager
    def server(self, namespace: str, rule: str) -> Iterator[common.Server]:
        os.environ["KUBECONFIG"] = str(self.cluster.kubeconfig_of("trunkline"))
        options = ["--fleet", "kubernetes", "--namespace", namespace, "--listen", f"{self.cluster.host}:0"]
        program = (common.TRUNKLINE,) if rule == OURS else (sys.executable, __file__, OTHER_RULE)
        with common.server(*options, "--worker-image", "none", program=program) as server:
            yield server

    @contextlib.contextmanager
    def fargate(self, namespace: str) -> Iterator[Fargate]:
        profile = Profile(name="all", selectors=(Selector(namespace=namespace),))
        fargate = Fargate(
            self.stage.api,
            self.stage.pods,
            self.stage.nodes,
            host=self.cluster.host,
            folder=self.folder,
            found=[profile],
            startup=self.startup,
        )
        yield fargate
        fargate.close()

    def paid(self, namespace: str, since: float = 0.0) -> dict[str, tuple[int, float]]:
        """Return by pipeline the pods and their seconds, from request to end."""
        pods: dict[str, tuple[int, float]] = {}
        for life in self.stage.kubelet.lives_in(namespace):
            if life.seen >= since:
                count, seconds = pods.get(life.pipeline, (0, 0.0))
                pods[life.pipeline] = count + 1, seconds + (life.gone or time.time()) - life.seen
        return pods

    def until_empty(self, namespace: str) -> None:
        clusters.until(
            lambda: all(life.gone for life in self.stage.kubelet.lives_in(namespace)), "all pods to be gone"
        )

    def close(self) -> None:
        self.stage.close()


@dataclass
class Run:
    """One batch through the chain."""

    seconds: float
    pods: int
    paid: float

    @property
    def bound(self) -> float:
        """The worker-seconds of every worker's start and of all the work."""
        return (WORKERS + 1) * START + WORK


def put(server: common.Server, tag: str, files: dict[str, str]) -> tuple[str, float]:
    """Commit files; return the commit and when it was finished."""
    commit = server.start_commit("images")
    server.put(commit, [(f"/{tag}-{name}", content.encode()) for name, content in files.items()])
    begun = time.time()
    server.finish_commit(commit)
    return commit.id, begun


def make_chain(server: common.Server) -> None:
    """Create the two pipelines of the article: five workers for the pictures, one for the sheet of all."""
    server.create_repo("images")
    many = {"autoscaling": True, "parallelism_spec": {"constant": WORKERS}}
    single = {"autoscaling": True, "parallelism_spec": {"constant": 1}}
    each = ["sh", "-c", "sleep $(cat /pfs/images/*); cp /pfs/images/* /pfs/out/"]
    server.create_pipeline("edges", each, "images", **many)
    server.create_pipeline(
        "montage", ["sh", "-c", "ls /pfs/edges > /pfs/out/sheet"], "edges", glob="/", **single
    )


def batch() -> dict[str, str]:
    return {f"{number:03}": f"{SECONDS:g}" for number in range(DATUMS)}


def cold(bench: Bench, rule: str) -> list[Run]:
    """The chain twice, each time from zero: before anything is known, and after."""
    namespace = bench.namespace()
    runs = []
    with bench.fargate(namespace), bench.server(namespace, rule) as server:
        make_chain(server)
        for tag in ("a", "b"):
            commit, begun = put(server, tag, batch())
            server.wait_job("montage", commit)
            seconds = time.time() - begun
            bench.until_empty(namespace)
            paid = bench.paid(namespace, begun - 1.0)
            runs.append(
                Run(seconds, sum(count for count, _ in paid.values()), sum(each for _, each in paid.values()))
            )
    return runs


def warm(bench: Bench, rule: str) -> tuple[float, int]:
    """A second batch committed while the first one runs; return what it adds to the first, and the pods of both."""
    namespace = bench.namespace()
    with bench.fargate(namespace), bench.server(namespace, rule) as server:
        make_chain(server)
        first, _ = put(server, "a", batch())
        job = pps_pb2.Job(pipeline=pps_pb2.Pipeline(name="edges"), id=first)
        ask = pps_pb2.InspectJobRequest(job=job, details=True)
        clusters.until(
            lambda: server.call("InspectJob", ask, pps_pb2.JobInfo).data_processed,
            "the first datum to be done",
        )
        second, _ = put(server, "b", batch())
        server.wait_job("edges", first)
        between = time.time()
        server.wait_job("edges", second)
        seconds = time.time() - between
        bench.until_empty(namespace)
        return seconds, bench.paid(namespace)["edges"][0]


# --- a node group --------------------------------------------------------------------------------------------


class Freedom:
    """When each node of a group became removable, as the cluster reports it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._lock = threading.Lock()
        self.free: dict[str, float] = {}
        stage.pods.tell(self.look)

    def look(self) -> None:
        pods = self._stage.pods.all()
        with self._lock:
            for name, node in self._stage.nodes.named().items():
                if GROUP not in node["metadata"].get("labels", {}):
                    continue
                if any(blocks(pod) for pod in on_node(name, pods)):
                    self.free.pop(name, None)
                else:
                    self.free.setdefault(name, time.time())


def node_group(bench: Bench, rule: str) -> tuple[list[float], float, float]:
    """Sixty short datums and a long one on machines for two workers each.

    Returns:
        The seconds from the last datum of each machine until it was removable, those from the end of the job until
        the last machine was, and those that all machines were held.
    """
    namespace = bench.namespace()
    ends = bench.folder / f"ends-{namespace}"
    ends.mkdir(mode=0o777)
    ends.chmod(0o777)
    group = Group(name="workers", most=4, labels={"pool": namespace}, boot=65.0 / SPEED, **M5_XLARGE)
    stage = bench.stage
    freedom = Freedom(stage)
    autoscaler = ClusterAutoscaler(
        stage.api, stage.pods, stage.nodes, [group], scan=10.0 / SPEED, unneeded=60.0 / SPEED
    )
    command = (
        "sleep $(cat /pfs/images/*); cp /pfs/images/* /pfs/out/; "
        f"echo $(date +%s.%N) $TMPDIR > {ends}/$PACH_DATUM_ID"
    )
    with bench.server(namespace, rule) as server:
        server.create_repo("images")
        server.create_pipeline(
            "edges",
            ["sh", "-c", command],
            "images",
            autoscaling=True,
            parallelism_spec={"constant": WORKERS},
            resource_requests={"cpu": 1.9, "memory": "1Gi"},
            scheduling_spec={"node_selector": {"pool": namespace}},
            datum_set_spec={"number": 1},
        )
        commit, _ = put(server, "a", batch() | {"long": f"{LONG:g}"})
        server.wait_job("edges", commit)
        done = time.time()
        bench.until_empty(namespace)
        freedom.look()
    homes = {life.name: life for life in stage.kubelet.lives_in(namespace)}
    last: dict[str, float] = {}
    for end in ends.iterdir():
        at, folder = end.read_text().split()
        pod = next(name for name in homes if name in folder)
        last[homes[pod].node] = max(last.get(homes[pod].node, 0.0), float(at))
    held = 0.0
    for node in last:
        lives = [life for life in homes.values() if life.node == node]
        held += max(life.gone for life in lives) - min(life.placed for life in lives)
    autoscaler.close()
    for node in stage.nodes.named():
        bench.cluster.kubectl("delete", "node", node, "--wait=false")
    tails = sorted(freedom.free[node] - at for node, at in last.items())
    return tails, max(0.0, max(freedom.free[node] for node in last) - done), held


# --- the tables ----------------------------------------------------------------------------------------------


def main() -> None:
    lacking = clusters.missing()
    if lacking or os.environ.get("KUBECONFIG"):
        print(
            f"eks_standins: left out: {lacking or 'it wants a cluster of its own, not the one of KUBECONFIG'}"
        )
        return
    rules = (OURS, PACHYDERM)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        cluster = clusters.Cluster(Path(os.environ["KUBEBUILDER_ASSETS"]))
        try:
            bench = Bench(cluster, Path(folder))
            try:
                chains = {rule: cold(bench, rule) for rule in rules}
                warms = {rule: warm(bench, rule) for rule in rules}
                groups = {rule: node_group(bench, rule) for rule in rules}
            finally:
                bench.close()
        finally:
            cluster.close()
    limit = START + WORK / WORKERS + 3.0
    turns = tuple(enumerate(("nothing known yet", "times known")))
    times = [
        [
            f"commit -> job of `montage` done, {when}",
            *(f"{chains[rule][turn].seconds:.1f} s" for rule in rules),
            f"{limit:.1f} s",
        ]
        for turn, when in turns
    ]
    paid = [
        [
            f"worker-seconds paid, {when}",
            *(f"{chains[rule][turn].paid:.0f} by {chains[rule][turn].pods} pods" for rule in rules),
            f"{1.15 * chains[OURS][turn].bound:.0f}",
        ]
        for turn, when in turns
    ]
    again = [
        [
            "second batch, committed while the first runs: seconds more",
            *(f"{warms[rule][0]:.1f} s" for rule in rules),
            f"no start: {WORK / WORKERS:.0f} s of work",
        ],
        ["pods of `edges` for both batches", *(str(warms[rule][1]) for rule in rules), f"{WORKERS}"],
    ]
    common.table(
        f"The article's chain on the Fargate stand-in, a start taking {START:g} s ({SPEED:g} times as fast as AWS)",
        ["what", *rules, "to reach"],
        [*times, *paid, *again],
    )
    common.table(
        f"A node group on the Cluster Autoscaler stand-in: {DATUMS} datums of {SECONDS:g} s and one of {LONG:g} s",
        ["what", *rules, "to reach"],
        [
            [
                "last datum of a machine -> removable, the slowest",
                *(f"{groups[rule][0][-1]:.2f} s" for rule in rules),
                "2 s",
            ],
            ["job done -> last machine removable", *(f"{groups[rule][1]:.2f} s" for rule in rules), "2 s"],
            [
                "seconds from a machine's first pod to the end of its last, all machines",
                *(f"{groups[rule][2]:.0f}" for rule in rules),
                "",
            ],
        ],
    )


def serve_by_pachyderms_rule() -> int:
    """Run the command line with the other rule."""
    from trunkline.cli.main import main as command_line

    policy.decide = PachydermRule(SPEED)
    return command_line(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(serve_by_pachyderms_rule() if sys.argv[1:2] == [OTHER_RULE] else main())
