"""The chart on a real cluster: the server as a pod, workers as pods, PostgreSQL and a bucket outside of it.

What the published SDK tells here is the whole story of the example, with the server taken away in the middle.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import installation
import pytest
from cluster import until
from images import BUSYBOX
from installation import EXAMPLE, Forwarder, Ledger, PodHistory, pods_of
from pachyderm_sdk import Client
from pachyderm_sdk.api import pps
from postgres_server import PostgresServer
from s3_server import KEY, SECRET, s3_server
from servers import files_of, make_repo, put

sys.path.append(str(EXAMPLE))
import story_sdk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster import Cluster, Kubernetes
    from node import Node
    from s3_server import S3Server

PORT = 30650


def helm_program() -> str:
    """Return helm, from the folder of binaries or from the path."""
    beside = Path(os.environ.get("KUBEBUILDER_ASSETS", "")) / "helm"
    program = str(beside) if beside.is_file() else shutil.which("helm")
    if program is None:
        pytest.skip("helm is neither in KUBEBUILDER_ASSETS nor on the path")
    return program


class Release:
    """The chart, installed in a namespace."""

    def __init__(self, cluster: Kubernetes, namespace: str, values: dict[str, Any]) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self._clients: list[Client] = []
        chart = installation.ROOT / "charts" / "trunkline"
        self.helm(
            "install", "trunkline", str(chart), "--values", "-", "--wait", "--timeout", "3m", feed=values
        )

    def helm(self, *arguments: str, feed: dict[str, Any] | None = None) -> str:
        command = [helm_program(), "--kubeconfig", str(self.cluster.kubeconfig)]
        done = subprocess.run(
            [*command, "--namespace", self.namespace, *arguments],
            input=json.dumps(feed) if feed is not None else None,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            words = [
                self.cluster.kubectl("-n", self.namespace, "get", "pods,events", check=False),
                self.cluster.kubectl(
                    "-n", self.namespace, "logs", "deploy/trunkline", "--tail=30", check=False
                ),
            ]
            raise AssertionError(f"helm {arguments[0]}: {done.stderr}\n" + "\n".join(words))
        return done.stdout

    def client(self) -> Client:
        """Return a client of the published SDK, by the service's address."""
        address = self.cluster.get("-n", self.namespace, "service", "trunkline")["spec"]["clusterIP"]
        client = Client(address, PORT)
        self._clients.append(client)
        return client

    @contextlib.contextmanager
    def forwarded(self) -> Iterator[Client]:
        """Yield a client that reaches the server through the API server, as from anywhere."""
        with self.cluster.forward("-n", self.namespace, "service/trunkline", f":{PORT}") as port:
            client = Client("127.0.0.1", port)
            yield client
            client._channel.close()

    def server_pods(self) -> list[str]:
        labels = "app.kubernetes.io/component=server"
        return [
            pod["metadata"]["name"]
            for pod in self.cluster.items("-n", self.namespace, "pods", "-l", labels)
            if any(
                c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", [])
            )
            and "deletionTimestamp" not in pod["metadata"]
        ]

    def close(self) -> None:
        for client in self._clients:
            client._channel.close()
        print(
            self.cluster.kubectl("-n", self.namespace, "logs", "deploy/trunkline", "--tail=60", check=False)
        )
        self.uninstall()

    def uninstall(self) -> None:
        if "trunkline" in self.helm("list", "--short"):
            self.helm("uninstall", "trunkline", "--wait")


@pytest.fixture(scope="module")
def bucket(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3"), cluster.host) as server:
        yield server


@pytest.fixture(scope="module")
def postgres(cluster: Cluster) -> Iterator[tuple[PostgresServer, Forwarder]]:
    """A PostgreSQL and the port under which pods reach it."""
    server = PostgresServer()
    [(folder,)] = server.execute("SHOW unix_socket_directories")
    forwarder = Forwarder(cluster.host, f"{folder}/.s.PGSQL.5432")
    yield server, forwarder
    forwarder.close()
    server.close()


@pytest.fixture
def simplest(kubernetes: Kubernetes, trunkline_loaded: str, namespace: str) -> Iterator[Release]:
    """The chart with its defaults, but for a volume: not every cluster has a storage class."""
    server, worker = (f"{trunkline_loaded}trunkline/{name}" for name in ("server", "worker"))
    release = Release(
        kubernetes,
        namespace,
        {
            "image": {"repository": server, "tag": installation.TAG},
            "workers": {"image": {"repository": worker, "tag": installation.TAG}},
            "persistence": {"enabled": False},
        },
    )
    yield release
    release.close()


@pytest.fixture
def release(
    cluster: Cluster,
    worker_node: Node,
    namespace: str,
    bucket: S3Server,
    postgres: tuple[PostgresServer, Forwarder],
) -> Iterator[Release]:
    """The chart with everything that lasts outside of the cluster, in a namespace of the strictest security."""
    server, forwarder = postgres
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    with server.database() as database:
        credentials = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "bucket", "namespace": namespace},
            "stringData": credentials,
        }
        cluster.apply(secret)
        release = Release(
            cluster,
            namespace,
            {
                "image": {"tag": installation.TAG},
                "workers": {"image": {"tag": installation.TAG}},
                "database": {"url": f"postgresql://postgres@{cluster.host}:{forwarder.port}/{database}"},
                "store": {
                    "url": f"s3://ready/{database}",
                    "region": "us-east-1",
                    "endpoint": bucket.url,
                    "credentialsSecret": "bucket",
                },
            },
        )
        yield release
        release.close()


def test_a_job_runs_on_any_cluster(simplest: Release, trunkline_loaded: str) -> None:
    """Pods come and go and make what they should, on a cluster of which nothing is known."""
    history = PodHistory(simplest.cluster, simplest.namespace)
    copies = pps.Pipeline(name="copies")
    with simplest.forwarded() as client:
        images = make_repo(client, "images")
        client.pps.create_pipeline(
            pipeline=copies,
            input=pps.Input(pfs=pps.PfsInput(repo="images", glob="/*")),
            transform=pps.Transform(
                cmd=["sh", "-e", "-c", "cp /pfs/images/* /pfs/out/"],
                image=f"{trunkline_loaded}trunkline/worker:{installation.TAG}",
            ),
            parallelism_spec=pps.ParallelismSpec(constant=2),
            autoscaling=True,
        )
        pictures = {f"/{number}": b"%d" % number for number in range(4)}

        commit = put(client, images, pictures)
        job = client.pps.inspect_job(job=pps.Job(pipeline=copies, id=commit), wait=True)
        contents = files_of(client, "copies@master")
    until(lambda: not pods_of(simplest.cluster, simplest.namespace), "all workers to be gone")

    assert job.state == pps.JobState.JOB_SUCCESS, job.reason
    assert contents == pictures
    assert history.most_running() >= 1
    history.close()


def test_workers_hold_up_no_drain_and_go_with_the_release(simplest: Release, trunkline_loaded: str) -> None:
    """Without a controller, ``kubectl drain`` refuses the node, and ``helm uninstall`` leaves the pods behind."""
    cluster, namespace = simplest.cluster, simplest.namespace
    with simplest.forwarded() as client:
        make_repo(client, "images")
        client.pps.create_pipeline(
            pipeline=pps.Pipeline(name="waits"),
            input=pps.Input(pfs=pps.PfsInput(repo="images", glob="/*")),
            transform=pps.Transform(
                cmd=["true"], image=f"{trunkline_loaded}trunkline/worker:{installation.TAG}"
            ),
            parallelism_spec=pps.ParallelismSpec(constant=1),
        )
    until(
        lambda: [pod for pod in pods_of(cluster, namespace) if pod["status"].get("phase") == "Running"],
        "the worker to run",
    )
    [pod] = pods_of(cluster, namespace)

    options = ["--ignore-daemonsets", "--delete-emptydir-data", "--dry-run=server"]
    drained = cluster.kubectl(
        "drain", pod["spec"]["nodeName"], *options, "--pod-selector=app.kubernetes.io/managed-by=trunkline"
    )
    simplest.uninstall()

    assert pod["metadata"]["name"] in drained
    until(lambda: not pods_of(cluster, namespace), "the worker to be gone")


def test_the_installed_server_tells_the_whole_story(
    release: Release, opencv: str, photographs: dict[str, bytes]
) -> None:
    history = PodHistory(release.cluster, release.namespace)
    pictures = {Path(name).name: data for name, data in photographs.items()}

    reached = release.helm("test", "trunkline")
    sheet = story_sdk.run(release.client(), pictures)
    until(lambda: not pods_of(release.cluster, release.namespace), "all workers to be gone")

    assert "Succeeded" in reached
    assert sheet[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(sheet[16:20], "big") > 600
    edges = {name for _, name, phase in history.phases() if "-edges-" in name and phase == "Running"}
    assert len(edges) >= 5
    history.close()


def test_a_server_pod_that_is_deleted_during_a_job_is_replaced_and_nothing_runs_twice(
    release: Release,
) -> None:
    ledger = Ledger(release.cluster.host)
    client = release.client()
    images = make_repo(client, "images")
    numbers = {f"/{number:02}": b"%d" % number for number in range(9)}
    client.pps.create_pipeline(
        pipeline=pps.Pipeline(name="copies"),
        input=pps.Input(pfs=pps.PfsInput(repo="images", glob="/*")),
        transform=pps.Transform(cmd=["sh", "-e", "-c", ledger.script("images")], image=BUSYBOX),
        parallelism_spec=pps.ParallelismSpec(constant=3),
        autoscaling=True,
        datum_set_spec=pps.DatumSetSpec(number=1),
    )
    commit = put(client, images, numbers)
    until(lambda: len(ledger.runs) == 3, "three commands to run")
    [before] = release.server_pods()

    release.cluster.kubectl("-n", release.namespace, "delete", "pod", before, "--force", "--grace-period=0")
    [after] = until(lambda: [name for name in release.server_pods() if name != before], "another server")
    ledger.let_go()
    client = release.client()
    job = client.pps.inspect_job(job=pps.Job(pipeline=pps.Pipeline(name="copies"), id=commit), wait=True)
    until(lambda: not pods_of(release.cluster, release.namespace), "all workers to be gone")

    assert after != before
    assert job.state == pps.JobState.JOB_SUCCESS, job.reason
    assert (job.data_processed, job.data_failed) == (9, 0)
    assert files_of(client, "copies@master") == numbers
    assert ledger.runs == dict.fromkeys((name[1:] for name in numbers), 1)
    ledger.close()
