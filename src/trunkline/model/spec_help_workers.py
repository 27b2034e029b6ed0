"""What the fields of a command and its workers mean; see ``spec_help``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.model import limits
from trunkline.model.spec import (
    GpuSpec,
    Metadata,
    ResourceSpec,
    SchedulingSpec,
    SecretMount,
    Toleration,
    Transform,
)
from trunkline.model.spec_help_entry import PODS_ONLY, Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

_CMD = {"cmd": ["python3", "/edges.py"]}
_QUANTITY = "bytes, with a suffix such as `512Mi`, `4Gi` or `2G`"

WORKERS: Mapping[type, Mapping[str, Entry]] = {
    Transform: {
        "image": Entry(
            "Image of the command: a container image, or on a fleet of processes an environment of that name.",
            {"image": "python:3.11-slim", **_CMD},
            default='"ubuntu:20.04"',
            range=f"at most {limits.IMAGE_NAME} characters",
            mistake={"image": "my image", **_CMD},
        ),
        "cmd": Entry(
            "The program to run and its arguments. No shell reads them.",
            {"cmd": ["python3", "/edges.py", "--threshold", "0.5"]},
            'For a shell write `["sh"]` and the lines of the script in `stdin`.',
            default="required",
            range=f"at most {limits.ARGUMENT:,} bytes for each argument",
            mistake={"cmd": [""]},
        ),
        "err_cmd": Entry(
            "Runs after each failed attempt. If it succeeds after the last one, the job goes on without the datum.",
            {**_CMD, "err_cmd": ["sh", "-c", "test -e /pfs/out/partial"]},
            "Such a datum is RECOVERED, and the next job tries it again.",
            mistake={**_CMD, "err_cmd": [""]},
        ),
        "env": Entry(
            "Environment variables of the command.",
            {**_CMD, "env": {"THRESHOLD": "0.5"}},
            range=f"at most {limits.SPEC_MAP:,} variables",
            mistake={**_CMD, "env": {"A=B": "1"}},
        ),
        "secrets": Entry(
            "Secrets that the command gets as files or environment variables.",
            {**_CMD, "secrets": [{"name": "db", "key": "password", "env_var": "DB_PASSWORD"}]},
            mistake={**_CMD, "secrets": [{"name": "db"}]},
        ),
        "image_pull_secrets": Entry(
            "Names of Kubernetes secrets with the credentials of the image's registry.",
            {**_CMD, "image_pull_secrets": ["registry"]},
            fleets=PODS_ONLY,
        ),
        "stdin": Entry(
            "Lines that the command reads from standard input.",
            {"cmd": ["sh"], "stdin": ["sort /pfs/texts/* > /pfs/out/sorted"]},
        ),
        "err_stdin": Entry(
            "Lines that `err_cmd` reads from standard input.",
            {**_CMD, "err_cmd": ["sh"], "err_stdin": ["true"]},
        ),
        "accept_return_code": Entry(
            "Exit codes besides 0 that count as success.",
            {**_CMD, "accept_return_code": [3]},
            range="0 to 255",
            mistake={**_CMD, "accept_return_code": [256]},
        ),
        "debug": Entry(
            "Asks Pachyderm's workers for more log lines.",
            {**_CMD, "debug": True},
            fleets="On every fleet the server warns that it has no effect: the log has all output of workers.",
        ),
        "user": Entry(
            "User that the command runs as, where the server may choose one.",
            {**_CMD, "user": "1000:1000"},
            "A name, `UID` or `UID:GID`. On Kubernetes numbers or `root`; on a fleet of processes it counts when the "
            "server runs as root.",
            default="the server's user; on Kubernetes 1000",
        ),
        "working_dir": Entry(
            "Folder in which the command starts.",
            {**_CMD, "working_dir": "/tmp"},
            default="`/`, or that of the container image",
        ),
        "dockerfile": Entry(
            "Path of a Dockerfile, for people: no image is built from it.",
            {**_CMD, "dockerfile": "Dockerfile"},
            fleets="On every fleet the server warns that it has no effect.",
        ),
        "memory_volume": Entry(
            "Keep the files of datums in memory instead of on the node's disk.",
            {**_CMD, "memory_volume": True},
            fleets=PODS_ONLY,
        ),
        "datum_batching": Entry(
            "Start the command once for many datums; it asks for each of them.",
            {**_CMD, "datum_batching": True},
            "Saves the start of an interpreter or the load of a model. `batch_all_datums` of the Pachyderm SDK asks.",
        ),
    },
    SecretMount: {
        "name": Entry(
            "Name of the secret.",
            {"name": "db", "mount_path": "/secrets/db"},
            default="required",
            range=f"at most {limits.SECRET_NAME} bytes",
            mistake={"mount_path": "/secrets/db"},
        ),
        "key": Entry(
            "Key of the secret whose value the variable gets.",
            {"name": "db", "key": "password", "env_var": "DB_PASSWORD"},
            mistake={"name": "db", "env_var": "DB_PASSWORD"},
        ),
        "mount_path": Entry(
            "Folder in which each key of the secret is a file.",
            {"name": "db", "mount_path": "/secrets/db"},
            mistake={"name": "db"},
        ),
        "env_var": Entry(
            "Environment variable that gets the value of the key.",
            {"name": "db", "key": "password", "env_var": "DB_PASSWORD"},
            mistake={"name": "db"},
        ),
    },
    ResourceSpec: {
        "cpu": Entry(
            "Processors.",
            {"cpu": 0.5},
            unit="CPUs",
            range=f"0 to {limits.CPU:,}",
            fleets="Containers and Kubernetes; processes share the machine's processors, and a limit causes a warning.",
            mistake={"cpu": -1},
        ),
        "memory": Entry(
            "Memory.",
            {"memory": "512Mi"},
            unit=_QUANTITY,
            range=f"at most {limits.MEMORY:,} bytes",
            mistake={"memory": "much"},
        ),
        "gpu": Entry(
            "Accelerators.",
            {"gpu": {"type": "nvidia.com/gpu", "number": 1}},
            fleets="Containers and Kubernetes; refused on a fleet of processes.",
            mistake={"gpu": {"number": 1}},
        ),
        "disk": Entry(
            "Disk space for temporary files.",
            {"disk": "10Gi"},
            unit=_QUANTITY,
            range=f"at most {limits.MEMORY:,} bytes",
            fleets="Kubernetes only; on other fleets a limit causes a warning.",
            mistake={"disk": "-1Gi"},
        ),
    },
    GpuSpec: {
        "type": Entry(
            "Kind of accelerator, as the Kubernetes resource or the device (CDI) is named.",
            {"type": "nvidia.com/gpu", "number": 1},
            default="required",
            mistake={"number": 1},
        ),
        "number": Entry(
            "How many accelerators.",
            {"type": "nvidia.com/gpu", "number": 1},
            default="required",
            unit="devices",
            range=f"1 to {limits.CPU:,}",
            mistake={"type": "nvidia.com/gpu", "number": 0},
        ),
    },
    SchedulingSpec: {
        "node_selector": Entry(
            "Labels that a node must have.",
            {"node_selector": {"disk": "ssd"}},
            fleets=PODS_ONLY,
        ),
        "priority_class_name": Entry(
            "Kubernetes priority class of the workers.",
            {"priority_class_name": "batch"},
            fleets=PODS_ONLY,
            mistake={"priority_class_name": "Batch Jobs"},
        ),
    },
    Toleration: {
        "key": Entry("Key of the taint.", {"key": "gpu", "operator": "EXISTS"}, fleets=PODS_ONLY),
        "operator": Entry(
            "Whether the taint must have the value, or may have any.",
            {"key": "gpu", "operator": "EQUAL", "value": "yes"},
            fleets=PODS_ONLY,
            mistake={"key": "gpu", "operator": "LIKE"},
        ),
        "value": Entry(
            "Value of the taint.", {"key": "gpu", "operator": "EQUAL", "value": "yes"}, fleets=PODS_ONLY
        ),
        "effect": Entry(
            "Effect of the taint.",
            {"key": "gpu", "operator": "EXISTS", "effect": "NO_SCHEDULE"},
            fleets=PODS_ONLY,
        ),
        "toleration_seconds": Entry(
            "With NO_EXECUTE: how long a worker stays on a node that gets the taint.",
            {"key": "gpu", "operator": "EXISTS", "effect": "NO_EXECUTE", "toleration_seconds": 60},
            default="without end",
            unit="seconds",
            fleets=PODS_ONLY,
        ),
    },
    Metadata: {
        "annotations": Entry(
            "Annotations of the pods and Kubernetes services of the pipeline.",
            {"annotations": {"trunkline.dev/priority": "10", "trunkline.dev/weight": "2"}},
            "On every fleet three of them are settings: `trunkline.dev/memory-retry-limit` is the memory up to which a "
            "datum that ran out of it is tried again with more; `trunkline.dev/weight` (0.01 to 100) and "
            "`trunkline.dev/priority` (-1000 to 1000) say who gets workers where a fleet is full.",
            mistake={"annotations": {"trunkline.dev/weight": "1000"}},
        ),
        "labels": Entry(
            "Labels of the pods and Kubernetes services of the pipeline.",
            {"labels": {"team": "vision"}},
            mistake={"labels": {"team": "a b"}},
        ),
    },
}
