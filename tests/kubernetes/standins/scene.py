"""What tests on stand-ins share: a server beside the cluster, and commands that wait to be let on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster import until
from installation import pods_of

if TYPE_CHECKING:
    from pathlib import Path

    from cluster import Cluster
    from pachyderm_sdk import Client
    from pachyderm_sdk.api import pps

USER = {"kind": "User", "name": "trunkline", "apiGroup": "rbac.authorization.k8s.io"}
#: Seconds that a job may take on a busy machine.
PATIENCE = 120.0


class Gate:
    """A folder in which commands say that they have begun, and wait until they are let on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        folder.chmod(0o777)

    def script(self, repo: str) -> str:
        """Return a shell script that reports each input file, waits to be let on, and copies it."""
        folder = self._folder
        return (
            f"for file in /pfs/{repo}/*; do mktemp {folder}/begun-$(basename $file)-XXXXXX; "
            f"until [ -e {folder}/open ]; do sleep 0.05; done; cp $file /pfs/out/; done"
        )

    @property
    def begun(self) -> list[str]:
        """The datums that were begun, each as often as it was."""
        return sorted(path.name.split("-")[1] for path in self._folder.glob("begun-*"))

    def let_go(self) -> None:
        (self._folder / "open").touch()

    def shut(self) -> None:
        (self._folder / "open").unlink(missing_ok=True)


def numbers(count: int, start: int = 0) -> dict[str, bytes]:
    return {f"/{number:02}": b"%d" % number for number in range(start, start + count)}


def running(cluster: Cluster, namespace: str) -> list[str]:
    return [
        pod["metadata"]["name"]
        for pod in pods_of(cluster, namespace)
        if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]


def reason_of(client: Client, pipeline: pps.Pipeline, *words: str, seconds: float = 60.0) -> str:
    """Wait until the pipeline says why it waits, in sentences that hold these words."""

    def look() -> str:
        reason: str = client.pps.inspect_pipeline(pipeline=pipeline, details=True).reason
        return reason if all(word in reason for word in words) else ""

    try:
        text: str = until(look, f"a reason with {words}", seconds)
    except AssertionError as error:
        info = client.pps.inspect_pipeline(pipeline=pipeline, details=True)
        raise AssertionError(f"{error}; it says {info.reason!r}") from None
    return text


def no_pods_left(cluster: Cluster, namespace: str) -> None:
    until(lambda: not pods_of(cluster, namespace), "all pods to be gone", PATIENCE)
