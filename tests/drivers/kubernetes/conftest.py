"""Both API servers, the fake always and the real one when its binaries are there, and fleets on them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
from fake_api import FakeApi
from kubernetes_world import make_fleet
from real_api import RealApi, binaries

from trunkline.drivers.fleets.kubernetes import workers


@pytest.fixture(scope="session")
def real_api():
    folder = binaries()
    if folder is None:
        pytest.skip("KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver")
    api = RealApi(folder)
    yield api
    api.close()


@pytest.fixture
def fake_api():
    api = FakeApi()
    yield api
    api.close()


@pytest.fixture(params=["fake", "real"] if binaries() else ["fake"])
def api(request):
    if request.param == "fake":
        yield request.getfixturevalue("fake_api")
    else:
        api = request.getfixturevalue("real_api")
        yield api
        api.clear()


@pytest.fixture
def fleets(api):
    """Makes fleets and closes them."""
    created = []

    def make(**arguments):
        created.append(make_fleet(api, **arguments))
        return created[-1]

    yield make
    for fleet in created:
        fleet.close(0.0)


@pytest.fixture
def soon_idle(monkeypatch):
    """Pods are marked as idle after a moment."""
    monkeypatch.setattr(workers, "IDLE_SECONDS", 0.3)


@pytest.fixture
def fleet(fleets):
    return fleets()
