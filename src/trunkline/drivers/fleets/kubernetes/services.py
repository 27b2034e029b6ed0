"""Publishes the ports of standing programs: one Service of Kubernetes for each pipeline that has one.

Level-triggered: what exists is found by its labels and compared with what should. A Service belongs to one version of
a pipeline, so nothing is changed in place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lightkube.models.core_v1 import ServicePort, ServiceSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Service

from trunkline.drivers.fleets.kubernetes import client as kube
from trunkline.drivers.fleets.kubernetes import pods

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.model.workers import PublishedService

#: Marks the Services of pipelines.
_COMPONENT = {"app.kubernetes.io/component": "pipeline-service"}
_NODE_PORT = "NodePort"
_NAME_LENGTH = 63  # of a DNS label


class KubernetesServices:
    """Implements ``ports.ServicePublisher``. Methods block; usable while the connection is open."""

    def __init__(self, connection: kube.Connection, settings: pods.PodSettings) -> None:
        """Change nothing yet.

        Args:
            connection: the connection to the API server.
            settings: of the pods that the Services lead to.
        """
        self._connection = connection
        self._settings = settings

    def publish(self, services: Sequence[PublishedService]) -> Mapping[str, str]:
        """Make exactly these Services exist; see ``ports.ServicePublisher``."""
        rendered = {service_name(each): (each, self._render(each)) for each in services}
        problems: dict[str, str] = {}

        async def match() -> None:
            client = self._connection.client
            labels: dict[str, Any] = {**pods.selector(self._settings), **_COMPONENT}
            namespace = self._settings.namespace
            existing = {
                each.metadata.name
                async for each in client.list(Service, namespace=namespace, labels=labels)
                if each.metadata is not None and each.metadata.name is not None
            }
            for name in sorted(existing - rendered.keys()):
                try:
                    await client.delete(Service, name)
                except kube.FAILURES as error:
                    if kube.code(error) != 404:
                        raise
            for name in sorted(rendered.keys() - existing):
                service, resource = rendered[name]
                try:
                    await client.create(resource)
                except kube.FAILURES as error:
                    if not kube.code(error) or kube.is_rbac(error):
                        raise
                    problems[f"{service.project}/{service.pipeline}"] = (
                        f"Kubernetes does not create the Service {name}: {kube.message(error)}; correct the ports or"
                        " the type in the spec"
                    )

        try:
            self._connection.run(match())
        except kube.FAILURES as error:
            namespace = self._settings.namespace
            raise kube.translated(error, self._connection.server, namespace, "create", "services") from error
        return problems

    def _render(self, service: PublishedService) -> Service:
        ports = service.service
        kind = ports.type or _NODE_PORT
        own = {**pods.selector(self._settings), **_COMPONENT, **_names(service)}
        return Service(
            metadata=ObjectMeta(
                name=service_name(service),
                namespace=self._settings.namespace,
                labels={**service.labels, **own},
                annotations={**service.annotations},
            ),
            spec=ServiceSpec(
                type=kind,
                selector={**pods.selector(self._settings), **_names(service)},
                ports=[
                    ServicePort(
                        name="user-port",
                        port=ports.external_port,
                        targetPort=ports.internal_port,
                        nodePort=ports.external_port if kind == _NODE_PORT else None,
                    )
                ],
            ),
        )


def service_name(service: PublishedService) -> str:
    """Return the name of a pipeline's Service, as Pachyderm forms it."""
    suffix = f"-v{service.version}-user"
    prefix = re.sub(r"[^a-z0-9]+", "-", f"{service.project}-{service.pipeline}".lower()).strip("-")
    if not prefix[:1].isalpha():
        prefix = f"p-{prefix}"  # names of Services begin with a letter
    return prefix[: _NAME_LENGTH - len(suffix)].rstrip("-") + suffix


def _names(service: PublishedService) -> dict[str, str]:
    """Return the labels by which the pods of a pipeline's version are found."""
    return {
        "pipelineName": pods.label_value(service.pipeline),
        "pipelineProject": pods.label_value(service.project),
        "pipelineVersion": str(service.version),
    }
