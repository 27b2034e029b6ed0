"""Checks before the server uses a cluster: its permissions, the namespace, and whose account workers get."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from lightkube.resources.authentication_v1 import SelfSubjectReview

from trunkline.drivers.fleets.kubernetes import client as kube
from trunkline.drivers.fleets.kubernetes.pod_decoding import as_pod
from trunkline.errors import FailedPrecondition, Unavailable

if TYPE_CHECKING:
    from trunkline.drivers.fleets.kubernetes.pods import PodSettings

log = logging.getLogger("trunkline.kubernetes")

#: Verbs that the server needs for pods.
NEEDED_VERBS = ("create", "delete", "get", "list", "patch", "watch")


async def check(connection: kube.Connection, settings: PodSettings) -> None:
    """Check that the server can run workers as pods of its namespace.

    Raises:
        FailedPrecondition: the namespace or a permission is missing, or workers could have the server's account.
        Unavailable: the API server does not answer.
    """
    allowed = await asyncio.gather(*(connection.may(verb, "pods") for verb in NEEDED_VERBS))
    missing = [verb for verb, may in zip(NEEDED_VERBS, allowed, strict=True) if not may]
    if missing:
        raise FailedPrecondition(
            f"the server may not {', '.join(missing)} pods in namespace {settings.namespace}; add to its Role: "
            f"{kube.rbac_rule(', '.join(missing), 'pods')}"
        )
    await _check_namespace(connection, settings)
    await _check_account(connection, settings)


def start_error(connection: kube.Connection, settings: PodSettings, error: Exception, verb: str) -> Exception:
    """Return the error that ends the start of the server.

    Args:
        connection: the connection to the API server.
        settings: what all worker pods have in common.
        error: what a call raised, one of ``client.FAILURES``.
        verb: what the call did with pods.
    """
    ours = kube.translated(error, connection.server, settings.namespace, verb, "pods")
    return ours if isinstance(ours, Unavailable | FailedPrecondition) else FailedPrecondition(ours.message)


async def _check_namespace(connection: kube.Connection, settings: PodSettings) -> None:
    """Check that the namespace exists, by a create that is not carried out: a list would only be empty."""
    probe = as_pod(
        {
            "metadata": {"generateName": "trunkline-probe-", "namespace": settings.namespace},
            "spec": {"containers": [{"name": "probe", "image": "probe"}]},
        }
    )
    try:
        await connection.client.create(probe, dry_run=True)
    except kube.FAILURES as error:
        # Other reasons against this pod need not apply to workers.
        if kube.code(error) == 404:
            raise start_error(connection, settings, error, "create") from error


async def _check_account(connection: kube.Connection, settings: PodSettings) -> None:
    """Check that no worker can have the server's own service account.

    Raises:
        FailedPrecondition: the workers' account, or one that pipelines may choose, is the server's.
    """
    try:
        answer = await connection.client.create(SelfSubjectReview())
    except kube.FAILURES as error:
        log.warning("cannot find out the server's own service account: %s", kube.message(error))
        return
    user = (answer.status.userInfo.username if answer.status and answer.status.userInfo else "") or ""
    namespace, _, name = user.removeprefix("system:serviceaccount:").partition(":")
    config = settings.config
    accounts = (config.service_account or "default", *config.policy.service_accounts)
    if namespace == settings.namespace and name in accounts:
        raise FailedPrecondition(
            f'workers could have the service account "{name}", which is the server\'s own; give workers another '
            "one (workers.serviceAccount) and remove it from workers.allowedServiceAccounts"
        )
