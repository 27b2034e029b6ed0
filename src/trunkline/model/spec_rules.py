"""The rules that a pipeline spec must follow, and the features of the API that are not implemented yet.

``validate`` takes a completed spec and uses nothing else: whether repos, secrets and commits exist is checked where
they are stored. Each rule is one function with its own message; the first broken rule is reported. Rules that
Pachyderm checks only when it creates a pod (quantities, ports) are checked here, so that the user learns of an error
when the spec is sent and not from a pipeline that never starts.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from trunkline.errors import InvalidArgument, at
from trunkline.model import limits, names, pod_rules, spec_annotations, trigger_rules
from trunkline.model.glob_keys import Keys, keys
from trunkline.model.globs import compile_glob
from trunkline.model.quantities import parse_bytes
from trunkline.model.schedules import parse_moment, parse_schedule
from trunkline.model.spec import EVERY_JOB, UNTIL_SUCCESS, Input, PipelineSpec, complete, effective, from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trunkline.model.spec import CronInput, PfsInput, ResourceSpec, Service

#: Reserved names below /pfs.
_RESERVED_INPUTS = ("out", ".env")
_SERVICE_TYPES = ("", "NodePort", "ClusterIP", "LoadBalancer")
_COMBINATIONS = ("join", "group", "cross", "union")


def load(user: Mapping[str, object], *defaults: Mapping[str, object]) -> PipelineSpec:
    """Merge, read, complete and validate a spec as a user wrote it.

    Args:
        user: its JSON.
        defaults: the defaults of the cluster, then those of the project.

    Raises:
        InvalidArgument: the spec is not valid; the message says what, where and how to fix it.
    """
    spec = complete(from_json(effective(user, *defaults)))
    validate(spec)
    return spec


def validate(spec: PipelineSpec) -> None:
    """Check a completed spec.

    Raises:
        InvalidArgument: the spec breaks a rule.
    """
    for rule in _RULES:
        rule(spec)


def unsupported(spec: PipelineSpec) -> list[str]:
    """Return a sentence for each feature that a valid spec uses and Trunkline does not implement yet.

    Fields for Kubernetes (``pod_spec``, ``pod_patch``, ``tolerations``, ``scheduling_spec``, ``metadata``,
    ``image_pull_secrets``, sidecar resources) are not listed: they are stored, and the process fleet ignores them.
    """
    wishes: list[tuple[object, str]] = [
        (spec.s3_out, "s3_out"),
    ]
    for where, node in _inputs(spec):
        if node.pfs is not None:
            pfs = f"{where}.pfs"
            wishes += [
                (node.pfs.s3, f"{pfs}.s3"),
            ]
    s3 = "leave it out to have the files below /pfs, until there is an S3 gateway"
    other = (
        [
            "determined gives commands an account of a Determined cluster, which Trunkline does not connect to;"
            " leave it out, and give the command what it needs in transform.secrets"
        ]
        if spec.determined is not None
        else []
    )
    return other + [
        f"{field} is not built yet; {s3 if field.endswith('.s3') else 'leave it out'}"
        for wish, field in wishes
        if wish
    ]


# --- rules ---------------------------------------------------------------------------------------------


def _identity(spec: PipelineSpec) -> None:
    if not spec.name:
        raise InvalidArgument('the pipeline has no name; add "pipeline": {"name": "…"}')
    with at("pipeline.project"):
        names.check_project(spec.project)
    with at("pipeline.name"):
        names.check_pipeline(spec.project, spec.name)
    with at("output_branch"):
        names.check_branch(spec.output_branch)
    limits.check_text(spec.description, limits.DESCRIPTION, "the description")


def _command(spec: PipelineSpec) -> None:
    transform = spec.transform
    if transform is None or not transform.cmd:
        raise InvalidArgument(
            'nothing to run: no transform.cmd; give the command as a list such as ["python3", "/work.py"]'
        )
    names.check_image(transform.image)
    for field, command in (("cmd", transform.cmd), ("err_cmd", transform.err_cmd)):
        if command and not command[0]:
            raise InvalidArgument(f"transform.{field}[0] is empty; it must name the program to run")
        for position, argument in enumerate(command):
            limits.check_text(argument, limits.ARGUMENT, f"transform.{field}[{position}]")
    for name, value in transform.env.items():
        limits.check_text(f"{name}={value}", limits.ARGUMENT, f'transform.env "{name[:60]}"')
        if not name or "=" in name:
            raise InvalidArgument(
                f'transform.env has a variable named "{name}"; give it a name, without "=" in it'
            )
    for code in transform.accept_return_code:
        if not 0 <= code <= 255:
            raise InvalidArgument(
                f"transform.accept_return_code has {code}, but commands return 0 to 255; correct or remove it"
            )
    for position, secret in enumerate(transform.secrets):
        where = f"transform.secrets[{position}]"
        if not secret.name:
            raise InvalidArgument(f"{where} has no name; name the secret")
        if not secret.env_var and not secret.mount_path:
            raise InvalidArgument(
                f'{where} has neither mount_path nor env_var; say where "{secret.name}" goes'
            )
        if secret.env_var and not secret.key:
            raise InvalidArgument(f'{where} has env_var "{secret.env_var}" but no key; name the key to read')


def _presence_of_input(spec: PipelineSpec) -> None:
    if spec.service is not None and spec.spout is not None:
        raise InvalidArgument("service and spout are both set; keep one, or put the service into the spout")
    if spec.spout is not None:
        if spec.autoscaling:
            raise InvalidArgument("autoscaling cannot be used with spout, which always runs; remove one")
        if spec.input is not None:
            raise InvalidArgument("a spout has no input; remove input or spout")
        if spec.egress is not None:
            raise InvalidArgument("egress follows a job, and a spout has none; remove egress or spout")
    if spec.service is not None and spec.input is None:
        raise InvalidArgument("a service has no input to serve; add an input, or use spout with a service")


def _shape_of_inputs(spec: PipelineSpec) -> None:
    if spec.input is not None:
        number = sum(1 for _ in spec.input.leaves())
        limits.check_count(
            number, limits.INPUTS, "the input", "put the files of several inputs into one repo"
        )
    for where, node in _inputs(spec):
        kinds = [kind for kind in ("pfs", "cron", *_COMBINATIONS) if getattr(node, kind)]
        if len(kinds) != 1:
            fault = f"has {' and '.join(kinds)}" if kinds else "is empty"
            raise InvalidArgument(
                f"{where} {fault}, but it needs exactly one of pfs, cron, cross, union, join, group"
            )
        if node.pfs is not None:
            _pfs_input(node.pfs, f"{where}.pfs", spec)
        if node.cron is not None:
            _cron_input(node.cron, f"{where}.cron")


def _keys(spec: PipelineSpec) -> None:
    for where, node in _inputs(spec):
        for kind, key in (("join", "join_on"), ("group", "group_by")):
            if getattr(node, kind):
                _keys_below(key, node, where)


def _pfs_input(pfs: PfsInput, where: str, spec: PipelineSpec) -> None:
    if not pfs.repo:
        raise InvalidArgument(f"{where} names no repo; add repo")
    if not pfs.glob:
        raise InvalidArgument(
            f'{where} has no glob; add for example "glob": "/*", one datum per top-level name'
        )
    _input_name(pfs.name, where)
    with at(f"{where}.project"):
        names.check_project(pfs.project)
    if pfs.repo_type not in names.REPO_TYPES:
        raise InvalidArgument(f'{where}.repo_type "{pfs.repo_type}" is unknown; write user, meta or spec')
    with at(f"{where}.branch"):
        names.check_branch(pfs.branch)
    if pfs.commit and not names.is_id(pfs.commit):
        raise InvalidArgument(
            f'{where}.commit "{pfs.commit}" is not the id of a commit; list commit shows ids'
        )
    if (pfs.project, pfs.repo, pfs.repo_type) == (spec.project, spec.name, names.USER):
        raise InvalidArgument(f'{where} is the pipeline\'s own output repo "{pfs.repo}"; name another repo')
    try:
        glob = compile_glob(pfs.glob)
    except InvalidArgument as error:
        raise InvalidArgument(f"{where}.glob is not valid: {error.message}") from error
    for field in ("join_on", "group_by"):
        try:
            Keys(glob, getattr(pfs, field))
        except InvalidArgument as error:
            raise InvalidArgument(f"{where}.{field} is not valid: {error.message}") from error
    if pfs.s3:
        _s3_input(pfs, where)
    if pfs.trigger is not None:
        trigger_rules.check(pfs.trigger, pfs.branch, f"{where}.trigger")


def _s3_input(pfs: PfsInput, where: str) -> None:
    if pfs.glob != "/":
        raise InvalidArgument(f'{where} is an s3 input with glob "{pfs.glob}"; such an input needs glob "/"')
    for flag in ("lazy", "empty_files"):
        if getattr(pfs, flag):
            raise InvalidArgument(f"{where} is an s3 input and {flag}; remove one, s3 inputs hold no files")


def _cron_input(cron: CronInput, where: str) -> None:
    if not cron.name:
        raise InvalidArgument(f"{where} has no name; add name, which is also its folder below /pfs")
    _input_name(cron.name, where)
    if not cron.spec:
        raise InvalidArgument(f'{where} has no spec; add for example "spec": "@every 60s"')
    limits.check_text(cron.spec, limits.SCHEDULE, f"{where}.spec")
    parse_schedule(cron.spec, f"{where}.spec")
    if cron.start:
        parse_moment(cron.start, f"{where}.start")
    with at(f"{where}.project"):
        names.check_project(cron.project)
    with at(f"{where}.repo"):
        names.check_repo(cron.repo)
    if cron.commit:
        raise InvalidArgument(f"{where}.commit is set, but a cron input reads its newest tick; leave it out")


def _input_name(name: str, where: str) -> None:
    if name in _RESERVED_INPUTS:
        raise InvalidArgument(f'{where} cannot be named "{name}", /pfs/{name} is taken; give it another name')
    names.check_repo(name)


def _keys_below(key: str, node: Input, where: str) -> None:
    """Check that every leaf below a join or group has keys."""
    for place, leaf in _inputs_below(where, node):
        if leaf.cron is not None:
            raise InvalidArgument(
                f"{place}.cron has no {key}, which every input of a join or group needs; combine the cron input with"
                " the others by cross"
            )
        if leaf.pfs is None:
            continue
        if not getattr(leaf.pfs, key):
            raise InvalidArgument(
                f'{place}.pfs has no {key}; add a group in parentheses to the glob, such as "/(*)", and'
                f' "{key}": "$1"'
            )
        if key == "join_on" and keys(leaf.pfs.glob, leaf.pfs.join_on).is_constant:
            raise InvalidArgument(
                f'{place}.pfs.join_on "{leaf.pfs.join_on}" names no capture group, so all files would be joined;'
                ' write for example "$1", or use cross'
            )


def _names_of_inputs(spec: PipelineSpec) -> None:
    if spec.input is not None:
        _names_used(spec.input)


def _names_used(node: Input) -> list[str]:
    """Return the input names that a datum of this input may have."""
    if not node.children:
        return [node.name]
    used: list[str] = []
    for child in node.children:
        of_child = _names_used(child)
        if not node.union:
            for name in of_child:
                if name in used:
                    raise InvalidArgument(
                        f'name "{name}" was used more than once; give one of these inputs another name'
                    )
        used += of_child
    # A name that several branches of a union share counts once: a datum comes from one branch.
    return list(dict.fromkeys(used))


def _s3_places(spec: PipelineSpec) -> None:
    for where, node in _inputs(spec):
        for kind in ("join", "group", "union"):
            for child in getattr(node, kind):
                if any(leaf.pfs and leaf.pfs.s3 for leaf in child.leaves()):
                    raise InvalidArgument(f"{where}.{kind} holds an s3 input; use s3 alone or within a cross")


def _scale(spec: PipelineSpec) -> None:
    if spec.parallelism < 1:
        raise InvalidArgument(
            f"parallelism_spec.constant is {spec.parallelism}, but a pipeline needs at least 1 worker; "
            "write 1 or more, and set autoscaling: true to have none while idle"
        )
    limits.check_count(
        spec.parallelism, limits.WORKERS, "parallelism_spec.constant", "write a smaller number"
    )
    limits.check_count(spec.datum_tries or 0, limits.DATUM_TRIES, "datum_tries", "write a smaller number")
    if spec.maximum_expected_uptime is not None and not spec.autoscaling:
        raise InvalidArgument("maximum_expected_uptime needs autoscaling: true; add it or remove the uptime")
    if spec.datum_tries is not None and spec.datum_tries < 1:
        raise InvalidArgument(
            f"datum_tries is {spec.datum_tries}, but a datum is tried at least once; write 1 or more"
        )
    for field in ("datum_timeout", "job_timeout", "maximum_expected_uptime"):
        seconds = getattr(spec, field)
        if seconds is not None and seconds < 0:
            raise InvalidArgument(
                f"{field} is negative; write a duration such as 90s, or leave it out for none"
            )
        limits.check_count(ceil(seconds or 0), limits.TIMEOUT, field, "leave it out for none")
    sets = spec.datum_set_spec
    if sets is not None:
        sizes = {"number": sets.number, "size_bytes": sets.size_bytes, "per_worker": sets.per_worker}
        for name, size in sizes.items():
            if size < 0:
                raise InvalidArgument(f"datum_set_spec.{name} is {size}; write 1 or more, or leave it out")
    if spec.reprocess_spec not in ("", UNTIL_SUCCESS, EVERY_JOB):
        raise InvalidArgument(
            f'reprocess_spec "{spec.reprocess_spec}" is unknown; write {UNTIL_SUCCESS} or {EVERY_JOB}'
        )


def _resources(spec: PipelineSpec) -> None:
    for field in (
        "resource_requests",
        "resource_limits",
        "sidecar_resource_requests",
        "sidecar_resource_limits",
    ):
        resources: ResourceSpec | None = getattr(spec, field)
        if resources is None:
            continue
        if resources.cpu is not None and resources.cpu < 0:
            raise InvalidArgument(f"{field}.cpu is {resources.cpu:g}; write a number such as 0.5 or 2")
        limits.check_count(ceil(resources.cpu or 0), limits.CPU, f"{field}.cpu", "write a smaller number")
        for kind in ("memory", "disk"):
            if amount := getattr(resources, kind):
                size = parse_bytes(amount, f"{field}.{kind}")
                limits.check_count(size, limits.MEMORY, f"{field}.{kind}", "write a smaller amount")
        if resources.gpu is not None:
            if not resources.gpu.type:
                raise InvalidArgument(f'{field}.gpu has no type; write for example "nvidia.com/gpu"')
            if resources.gpu.number < 1:
                raise InvalidArgument(f"{field}.gpu.number is {resources.gpu.number}; write 1 or more")
            limits.check_count(
                resources.gpu.number, limits.CPU, f"{field}.gpu.number", "write a smaller number"
            )


def _service(spec: PipelineSpec) -> None:
    services: list[tuple[str, Service | None]] = [
        ("service", spec.service),
        ("spout.service", spec.spout.service if spec.spout else None),
    ]
    for where, service in services:
        if service is None:
            continue
        for field in ("internal_port", "external_port"):
            port = getattr(service, field)
            if not 1 <= port <= 65_535:
                raise InvalidArgument(f"{where}.{field} is {port}; write a port from 1 to 65535")
        if service.type not in _SERVICE_TYPES:
            raise InvalidArgument(
                f'{where}.type "{service.type}" is unknown; write NodePort, ClusterIP or LoadBalancer'
            )
    if spec.service is not None and spec.parallelism != 1:
        raise InvalidArgument(
            f"a service runs one worker, but parallelism_spec.constant is {spec.parallelism}; write 1"
        )
    if spec.runs_program and spec.transform is not None and spec.transform.datum_batching:
        kind = "spout" if spec.spout is not None else "service"
        raise InvalidArgument(
            f"transform.datum_batching is for commands that process datums, not for those of a {kind}; remove it"
        )
    if spec.service is not None and spec.egress is not None:
        raise InvalidArgument("a service has no output files for egress; remove egress or service")


def _egress(spec: PipelineSpec) -> None:
    if spec.egress is None:
        return
    targets = [field for field in ("url", "object_storage", "sql_database") if getattr(spec.egress, field)]
    if len(targets) != 1:
        fields = " and ".join(targets) or "nothing"
        raise InvalidArgument(
            f"egress sets {fields}; set exactly one of URL, object_storage and sql_database"
        )
    if targets[0] != "url" and not getattr(spec.egress, targets[0]).url:
        raise InvalidArgument(f"egress.{targets[0]} has no url; add it")


def _legacy(spec: PipelineSpec) -> None:
    if spec.tf_job is not None:
        raise InvalidArgument(
            "tf_job starts a TFJob of Kubeflow, which Trunkline does not run; run the training by a transform instead"
        )


_RULES: tuple[Callable[[PipelineSpec], None], ...] = (
    _identity,
    _legacy,
    _command,
    _presence_of_input,
    _shape_of_inputs,
    _keys,
    _names_of_inputs,
    _s3_places,
    _scale,
    _resources,
    pod_rules.check,
    spec_annotations.check,
    _service,
    _egress,
)


def _inputs(spec: PipelineSpec) -> Iterator[tuple[str, Input]]:
    """Yield every input with its place, outer ones first."""
    if spec.input is not None:
        yield from _inputs_below("input", spec.input)


def _inputs_below(where: str, node: Input) -> Iterator[tuple[str, Input]]:
    yield where, node
    for kind in _COMBINATIONS:
        for position, child in enumerate(getattr(node, kind)):
            yield from _inputs_below(f"{where}.{kind}[{position}]", child)
