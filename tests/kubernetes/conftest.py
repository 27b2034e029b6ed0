"""One cluster for all tests of this folder, started by the first that needs it.

``scripts/test-kubernetes`` runs them; ``scripts/test`` passes them by, because they need root, binaries that few
machines have, and the machine for themselves.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import cluster as clusters
import images
import installation
import pytest
from test_opencv import png

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from node import Node

if os.environ.get("TRUNKLINE_TEST_KUBERNETES") != "1":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left_behind() -> None:
    """Replaces the check of all other tests: the cluster outlives each module, and ``test_cluster`` checks its end."""


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[clusters.Kubernetes]:
    """The cluster under test: our own, or the one that was named."""
    program = clusters.find()
    yield program
    program.close()


@pytest.fixture(scope="session")
def cluster(kubernetes: clusters.Kubernetes) -> clusters.Cluster:
    """A cluster of our own, for tests that break its parts."""
    if not isinstance(kubernetes, clusters.Cluster):
        pytest.skip("breaks nodes: only on a cluster of its own, not on the one named by KUBECONFIG")
    return kubernetes


@pytest.fixture(scope="session")
def small_images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The images that every node needs: pause, and a shell."""
    folder = tmp_path_factory.mktemp("images")
    return [images.pause(folder), images.busybox(folder, images.BUSYBOX)]


@pytest.fixture(scope="session")
def node(cluster: clusters.Cluster, small_images: list[Path]) -> Node:
    """A real node of our own cluster."""
    return cluster.add_node(small_images)


@pytest.fixture(scope="session")
def trunkline_images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The images of server and worker, built from this checkout."""
    return installation.build_images(tmp_path_factory.mktemp("trunkline-images"))


@pytest.fixture(scope="session")
def worker_node(node: Node, trunkline_images: list[Path]) -> Node:
    """The real node, with what workers need."""
    for archive in trunkline_images:
        node.load(archive)
    return node


@pytest.fixture(scope="session")
def trunkline_loaded(kubernetes: clusters.Kubernetes, request: pytest.FixtureRequest) -> str:
    """What stands before the names of Trunkline's images; nodes have them, or find them there.

    Our own nodes are given them; for another cluster ``TRUNKLINE_TEST_REGISTRY`` names where they were pushed.
    """
    if kubernetes.ours:
        request.getfixturevalue("worker_node")
        return ""
    registry = os.environ.get("TRUNKLINE_TEST_REGISTRY", "")
    return registry and registry.rstrip("/") + "/"


@pytest.fixture(scope="session")
def second_node(
    cluster: clusters.Cluster, worker_node: Node, small_images: list[Path], trunkline_images: list[Path]
) -> Node:
    """Another real node, which takes no pods unless a test says so."""
    node = cluster.add_node([*small_images, *trunkline_images])
    cluster.kubectl("cordon", node.name)
    return node


@pytest.fixture
def spare_node(cluster: clusters.Cluster, second_node: Node) -> Iterator[Node]:
    """The other node, for a test that empties it."""
    cluster.kubectl("uncordon", second_node.name)
    yield second_node
    cluster.kubectl("cordon", second_node.name)


@pytest.fixture(scope="session")
def opencv(worker_node: Node, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The example's image, on the real node."""
    worker_node.load(installation.opencv_image(tmp_path_factory.mktemp("opencv")))
    return installation.OPENCV_IMAGE


@pytest.fixture(scope="session")
def photographs() -> dict[str, bytes]:
    """Ten pictures of coloured rectangles."""
    return {f"/picture{number}.png": png(240, 160, number) for number in range(10)}


@pytest.fixture
def namespace(kubernetes: clusters.Kubernetes, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test."""
    name = f"test-{abs(hash(request.node.nodeid)) % 10**8}"
    kubernetes.kubectl("create", "namespace", name)
    clusters.until(lambda: kubernetes.kubectl("-n", name, "get", "sa", "default", check=False), "its account")
    yield name
    # pytest shows what is printed here with the test when it fails.
    print(kubernetes.kubectl("-n", name, "get", "pods", "-o", "wide", check=False))
    print(kubernetes.kubectl("-n", name, "get", "events", "--sort-by=.lastTimestamp", check=False))
    everything = ["--all-containers", "--prefix", "--tail=20", "-l", "app.kubernetes.io/component=worker"]
    print(kubernetes.kubectl("-n", name, "logs", *everything, check=False))
    kubernetes.kubectl("delete", "namespace", name, "--wait=false")
