"""The ports of standing programs on Kubernetes, against both API servers."""

from __future__ import annotations

import pytest
from kubernetes_world import connect

from trunkline.drivers.fleets.kubernetes.pods import PodSettings
from trunkline.drivers.fleets.kubernetes.services import KubernetesServices
from trunkline.errors import PermissionDenied
from trunkline.model.spec import Service
from trunkline.model.workers import PublishedService
from trunkline.ports import ServerAddress


@pytest.fixture
def services(api):
    connection = connect(api)
    settings = PodSettings(
        cluster="c" * 32,
        namespace=connection.namespace,
        server=ServerAddress("trunkline:30650"),
        worker_image="worker",
    )
    yield KubernetesServices(connection, settings)
    connection.close()


def published(pipeline="pages", version=1, port=30_808, **changes):
    values = {
        "project": "default",
        "pipeline": pipeline,
        "version": version,
        "service": Service(internal_port=8000, external_port=port, **changes),
        "labels": {"team": "web"},
        "annotations": {"example.org/who": "ann"},
    }
    return PublishedService(**values)


def test_a_service_leads_to_the_pods_of_its_version(api, services):
    assert services.publish([published()]) == {}

    [stored] = api.objects("services")
    assert stored["metadata"]["name"] == "default-pages-v1-user"
    assert stored["metadata"]["labels"]["team"] == "web"
    assert stored["metadata"]["annotations"]["example.org/who"] == "ann"
    [port] = stored["spec"]["ports"]
    assert (port["port"], port["targetPort"], port["nodePort"]) == (30_808, 8000, 30_808)
    assert stored["spec"]["type"] == "NodePort"
    selected = {name: stored["spec"]["selector"][name] for name in ("pipelineName", "pipelineVersion")}
    assert selected == {"pipelineName": "pages", "pipelineVersion": "1"}


def test_only_the_services_that_should_exist_do(api, services):
    api.add("services", "work", {"metadata": {"name": "theirs"}, "spec": {"ports": [{"port": 80}]}})
    services.publish([published(), published("other", type="ClusterIP", port=80)])

    services.publish([published(version=2)])
    services.publish([published(version=2)])

    names = {each["metadata"]["name"] for each in api.objects("services")}
    assert names == {"default-pages-v2-user", "theirs"}


def test_a_cluster_ip_has_no_port_of_the_nodes(api, services):
    services.publish([published(type="ClusterIP", port=80)])

    [stored] = api.objects("services")
    assert stored["spec"]["type"] == "ClusterIP"
    assert not stored["spec"]["ports"][0].get("nodePort")


@pytest.mark.parametrize("api", ["fake"], indirect=True)
def test_a_missing_permission_is_named(api, services):
    api.forbidden.add(("list", "services"))

    with pytest.raises(PermissionDenied, match="services"):
        services.publish([published()])
