"""One cluster for all tests of this folder, started by the first that needs it.

``scripts/test-kubernetes`` runs them; ``scripts/test`` passes them by, because they need root, binaries that few
machines have, and the machine for themselves.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import cluster as clusters
import images
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from node import Node

if os.environ.get("TRUNKLINE_TEST_KUBERNETES") != "1":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[clusters.Kubernetes]:
    """The cluster under test: our own, or the one that was named."""
    found = clusters.find()
    yield found
    found.close()


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


@pytest.fixture
def namespace(kubernetes: clusters.Kubernetes, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test."""
    name = f"test-{abs(hash(request.node.nodeid)) % 10**8}"
    kubernetes.kubectl("create", "namespace", name)
    clusters.until(lambda: kubernetes.kubectl("-n", name, "get", "sa", "default", check=False), "its account")
    yield name
    kubernetes.kubectl("delete", "namespace", name, "--wait=false")
