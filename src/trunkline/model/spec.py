"""The pipeline spec: every field of the Pachyderm API's CreatePipelineRequest, as frozen values.

``from_json`` reads what a user wrote, strictly; ``effective`` merges it over defaults first;
``complete`` fills in what the spec leaves to rules (input names, branches, projects, order), and
``spec_rules.validate`` checks the result (``spec_rules.load`` does all four). ``to_json`` writes it back in
snake case. Nothing here checks what exists: whether a repo or a secret exists is checked elsewhere.

Defaults of the wire (false, 0, "", an empty list) are the fields' defaults. Messages that are not set are
None, and so are numbers where "not set" and zero differ: ``parallelism_spec.constant`` left out is 1, written
as 0 it is an error.
"""

# ruff: noqa: RUF009  (the calls in class bodies declare fields, as dataclasses.field does)

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trunkline.model import spec_fields
from trunkline.model.names import DEFAULT_PROJECT, USER
from trunkline.model.spec_fields import (
    choice,
    count,
    flag,
    ignored,
    integer,
    integers,
    mapping,
    message,
    messages,
    number,
    span,
    text,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_BRANCH = "master"
DEFAULT_IMAGE = "ubuntu:20.04"
DEFAULT_TRIES = 3
UNTIL_SUCCESS = "until_success"
EVERY_JOB = "every_job"

#: Defaults that apply unless the user, the cluster or the project sets others.
BUILT_IN: Mapping[str, object] = {
    "transform": {"image": DEFAULT_IMAGE},
    "output_branch": DEFAULT_BRANCH,
    "datum_tries": DEFAULT_TRIES,
    "reprocess_spec": UNTIL_SUCCESS,
}

# --- messages, inner ones first ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project's name."""

    name: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A pipeline's identity."""

    project: Project | None = message(lambda: Project)
    name: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretMount:
    """A secret that the command sees as a folder or as an environment variable."""

    name: str = text()
    key: str = text()
    mount_path: str = text()
    env_var: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """The command that runs for each datum, and its image."""

    image: str = text()
    cmd: tuple[str, ...] = texts()
    err_cmd: tuple[str, ...] = texts()
    env: Mapping[str, str] = mapping()
    secrets: tuple[SecretMount, ...] = messages(lambda: SecretMount)
    image_pull_secrets: tuple[str, ...] = texts()
    stdin: tuple[str, ...] = texts()
    err_stdin: tuple[str, ...] = texts()
    accept_return_code: tuple[int, ...] = integers()
    debug: bool = flag()
    user: str = text()
    working_dir: str = text()
    dockerfile: str = text()
    memory_volume: bool = flag()
    datum_batching: bool = flag()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelismSpec:
    """The number of workers; with autoscaling the maximum."""

    constant: int | None = integer()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStorageEgress:
    """Outputs go to an object store."""

    url: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlFileFormat:
    """How output files hold rows."""

    type: str = choice("UNKNOWN", "CSV", "JSON", "PARQUET")
    columns: tuple[str, ...] = texts()


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSecret:
    """Where the database's password is."""

    name: str = text()
    key: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlDatabaseEgress:
    """Outputs go into tables of a database."""

    url: str = text()
    file_format: SqlFileFormat | None = message(lambda: SqlFileFormat)
    secret: SqlSecret | None = message(lambda: SqlSecret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """Where outputs go after a job."""

    url: str = text("URL")
    object_storage: ObjectStorageEgress | None = message(lambda: ObjectStorageEgress)
    sql_database: SqlDatabaseEgress | None = message(lambda: SqlDatabaseEgress)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSpec:
    """Accelerators per worker."""

    type: str = text()
    number: int = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSpec:
    """Resources that a worker requests, or its limits."""

    cpu: float | None = number()
    memory: str = text()
    gpu: GpuSpec | None = message(lambda: GpuSpec)
    disk: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulingSpec:
    """Which Kubernetes nodes may run workers."""

    node_selector: Mapping[str, str] = mapping()
    priority_class_name: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Toleration:
    """A Kubernetes taint that workers tolerate."""

    key: str = text()
    operator: str = choice("EMPTY", "EXISTS", "EQUAL")
    value: str = text()
    effect: str = choice("ALL_EFFECTS", "NO_SCHEDULE", "PREFER_NO_SCHEDULE", "NO_EXECUTE")
    toleration_seconds: int | None = integer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Annotations and labels of Kubernetes objects."""

    annotations: Mapping[str, str] = mapping()
    labels: Mapping[str, str] = mapping()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A pipeline that serves its newest inputs on a port."""

    internal_port: int = count()
    external_port: int = count()
    ip: str = text()
    type: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spout:
    """A pipeline that ingests data from an external source."""

    service: Service | None = message(lambda: Service)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatumSetSpec:
    """How many datums a worker claims at a time."""

    number: int = count()
    size_bytes: int = count()
    per_worker: int = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Determined:
    """Workspaces of the Determined platform."""

    workspaces: tuple[str, ...] = texts()


@dataclass(frozen=True, slots=True, kw_only=True)
class TfJob:
    """Rejected by every Pachyderm version."""

    tf_job: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """When a branch moves to the head of another."""

    branch: str = text()
    all: bool = flag()
    rate_limit_spec: str = text()
    size: str = text()
    commits: int = count()
    cron_spec: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class PropagationSpec:
    """Whether commits of an input reach the pipeline."""

    never: bool = flag()


@dataclass(frozen=True, slots=True, kw_only=True)
class PfsInput:
    """Files of a branch; each match of the glob is a datum."""

    project: str = text()
    name: str = text()
    repo: str = text()
    repo_type: str = text()
    branch: str = text()
    commit: str = text()
    glob: str = text()
    join_on: str = text()
    outer_join: bool = flag()
    group_by: str = text()
    lazy: bool = flag()
    empty_files: bool = flag()
    s3: bool = flag()
    trigger: Trigger | None = message(lambda: Trigger)
    propagation_spec: PropagationSpec | None = message(lambda: PropagationSpec)
    reference: bool = flag()


@dataclass(frozen=True, slots=True, kw_only=True)
class CronInput:
    """Timestamps on a schedule, written as files to a repo of the pipeline's own."""

    name: str = text()
    project: str = text()
    repo: str = text()
    commit: str = text()
    spec: str = text()
    overwrite: bool = flag()
    start: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Where datums come from. Exactly one field is set."""

    pfs: PfsInput | None = message(lambda: PfsInput)
    join: tuple[Input, ...] = messages(lambda: Input)
    group: tuple[Input, ...] = messages(lambda: Input)
    cross: tuple[Input, ...] = messages(lambda: Input)
    union: tuple[Input, ...] = messages(lambda: Input)
    cron: CronInput | None = message(lambda: CronInput)

    @property
    def children(self) -> tuple[Input, ...]:
        """The inputs that this input combines."""
        return self.join or self.group or self.cross or self.union

    @property
    def name(self) -> str:
        """The input's name; that of its first leaf when it combines several."""
        if self.pfs is not None:
            return self.pfs.name or self.pfs.repo
        if self.cron is not None:
            return self.cron.name
        return self.children[0].name if self.children else ""

    def leaves(self) -> Iterator[Input]:
        """Yield the pfs and cron inputs in order."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()

    def as_files(self) -> PfsInput | None:
        """Return the files that a pfs or cron input reads; None for one that combines others."""
        if self.cron is None:
            return self.pfs
        cron = self.cron
        return PfsInput(
            project=cron.project,
            name=cron.name,
            repo=cron.repo,
            repo_type=USER,
            branch=DEFAULT_BRANCH,
            commit=cron.commit,
            glob="/*",
        )

    def files(self) -> Iterator[PfsInput]:
        """Yield the files that each pfs and cron input reads, in order."""
        for leaf in self.leaves():
            files = leaf.as_files()
            if files is not None:
                yield files


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSpec:
    """A pipeline as the user requested it."""

    pipeline: Pipeline | None = message(lambda: Pipeline)
    tf_job: TfJob | None = message(lambda: TfJob)
    transform: Transform | None = message(lambda: Transform)
    parallelism_spec: ParallelismSpec | None = message(lambda: ParallelismSpec)
    egress: Egress | None = message(lambda: Egress)
    update: bool = flag()
    output_branch: str = text()
    s3_out: bool = flag()
    resource_requests: ResourceSpec | None = message(lambda: ResourceSpec)
    resource_limits: ResourceSpec | None = message(lambda: ResourceSpec)
    sidecar_resource_limits: ResourceSpec | None = message(lambda: ResourceSpec)
    sidecar_resource_requests: ResourceSpec | None = message(lambda: ResourceSpec)
    input: Input | None = message(lambda: Input)
    description: str = text()
    reprocess: bool = flag()
    service: Service | None = message(lambda: Service)
    spout: Spout | None = message(lambda: Spout)
    datum_set_spec: DatumSetSpec | None = message(lambda: DatumSetSpec)
    datum_timeout: float | None = span()
    job_timeout: float | None = span()
    maximum_expected_uptime: float | None = span()
    salt: str = text()
    datum_tries: int | None = integer()
    scheduling_spec: SchedulingSpec | None = message(lambda: SchedulingSpec)
    pod_spec: str = text()
    pod_patch: str = text()
    spec_commit: None = ignored()
    metadata: Metadata | None = message(lambda: Metadata)
    reprocess_spec: str = text()
    autoscaling: bool = flag()
    tolerations: tuple[Toleration, ...] = messages(lambda: Toleration)
    dry_run: bool = flag()
    determined: Determined | None = message(lambda: Determined)

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.pipeline.name if self.pipeline else ""

    @property
    def project(self) -> str:
        """The pipeline's project."""
        project = self.pipeline.project if self.pipeline else None
        return (project.name if project else "") or DEFAULT_PROJECT

    @property
    def runs_program(self) -> bool:
        """Whether its workers run a program without end: it is a spout or a service."""
        return self.spout is not None or self.service is not None

    @property
    def published(self) -> Service | None:
        """The port that its program answers on; None without one."""
        return self.service or (self.spout.service if self.spout is not None else None)

    @property
    def parallelism(self) -> int:
        """The number of workers; with autoscaling the maximum. A spout has one."""
        constant = self.parallelism_spec.constant if self.parallelism_spec else None
        return 1 if constant is None or self.spout is not None else constant


# --- reading, merging, completing ----------------------------------------------------------------------


def from_json(obj: Mapping[str, object]) -> PipelineSpec:
    """Read a spec, strictly.

    Args:
        obj: JSON as ``json.loads`` or ``spec_text.parse_specs`` returns it.

    Raises:
        InvalidArgument: an unknown field, a duplicate field or a wrong type; the message says where.

    >>> from_json({"pipeline": {"name": "edges"}, "datumTries": "5"}).datum_tries
    5
    """
    return spec_fields.read(PipelineSpec, obj)


def to_json(spec: PipelineSpec) -> dict[str, object]:
    """Return the spec as JSON: snake case, without fields that are not set. ``from_json`` reads it back."""
    return spec_fields.write(spec)


def effective(user: Mapping[str, object], *defaults: Mapping[str, object]) -> dict[str, object]:
    """Merge a user's spec over defaults (RFC 7396); null deletes the value of a lower layer.

    Args:
        user: the user's spec, in snake or camel case.
        defaults: lower layers, the lowest first: those of the cluster, then of the project.

    Returns:
        The merged JSON in snake case, the built-in defaults included.

    Raises:
        InvalidArgument: a layer has an unknown or duplicate field.
    """
    merged: object = BUILT_IN
    for layer in (*defaults, user):
        merged = merge(merged, spec_fields.keyed(PipelineSpec, layer))
    assert isinstance(merged, dict)
    return merged


def merge(target: object, patch: object) -> object:
    """Return JSON with a merge patch applied (RFC 7396, section 2)."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def complete(spec: PipelineSpec) -> PipelineSpec:
    """Fill in derived fields of a spec: projects, input names, branches, cron repos, the inputs' order.

    Idempotent.
    """
    transform = spec.transform
    return replace(
        spec,
        pipeline=replace(spec.pipeline or Pipeline(), project=Project(name=spec.project)),
        transform=replace(transform, image=transform.image or DEFAULT_IMAGE) if transform else None,
        output_branch=spec.output_branch or DEFAULT_BRANCH,
        datum_tries=DEFAULT_TRIES if spec.datum_tries is None else spec.datum_tries,
        reprocess_spec=spec.reprocess_spec or UNTIL_SUCCESS,
        input=_complete_input(spec.input, spec, Counter()) if spec.input is not None else None,
    )


def _complete_input(node: Input, spec: PipelineSpec, triggers: Counter[str]) -> Input:
    """Complete an input; ``triggers`` counts the branches that are named for triggers, by repo."""
    if node.pfs is not None:
        pfs = node.pfs
        branch, trigger = pfs.branch, pfs.trigger
        if trigger is not None:
            trigger = replace(trigger, branch=trigger.branch or DEFAULT_BRANCH)
            if not branch:
                triggers[pfs.repo] += 1
                branch = f"{spec.name}-trigger-{triggers[pfs.repo]}"
        pfs = replace(
            pfs,
            project=pfs.project or spec.project,
            name=pfs.name or pfs.repo,
            repo_type=pfs.repo_type or USER,
            branch=branch or DEFAULT_BRANCH,
            trigger=trigger,
        )
        node = replace(node, pfs=pfs)
    if node.cron is not None:
        cron = node.cron
        repo = cron.repo or cron_repo(spec.name, cron.name)
        node = replace(node, cron=replace(cron, project=cron.project or spec.project, repo=repo))

    def ordered(children: tuple[Input, ...]) -> tuple[Input, ...]:
        return tuple(
            sorted((_complete_input(c, spec, triggers) for c in children), key=lambda child: child.name)
        )

    return replace(
        node,
        join=ordered(node.join),
        group=ordered(node.group),
        cross=ordered(node.cross),
        union=ordered(node.union),
    )


def cron_repo(pipeline: str, input: str) -> str:
    """Return the name of the repo of a cron input that names none.

    Args:
        pipeline: name of the pipeline.
        input: name of the input.
    """
    return f"{pipeline}_{input}"


def cron_inputs(spec: PipelineSpec) -> list[CronInput]:
    """Return the cron inputs of a pipeline, in order."""
    leaves = spec.input.leaves() if spec.input is not None else ()
    return [leaf.cron for leaf in leaves if leaf.cron is not None]
