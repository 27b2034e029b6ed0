"""The plan of pipelines on Fargate, and the profile as a file. Both work offline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from trunkline.cli import output
from trunkline.cli.commands.fargate_account import PROFILE, desired_of
from trunkline.cli.exit_codes import FAILURE
from trunkline.cli.parsing import SHOWING, Command, argument
from trunkline.cli.planning import (
    JOB,
    NAMESPACE,
    PRICES,
    SPECS,
    amounts,
    both_or_none,
    count,
    natural,
    planned,
    positive,
    prices_of,
    read_json_or_yaml,
    say,
)

if TYPE_CHECKING:
    from trunkline.cli.invocation import Invocation
    from trunkline.cli.planning import Planned
    from trunkline.scaling.fargate import Fit, Quota
    from trunkline.scaling.fargate_rules import Finding
    from trunkline.scaling.placement import Forecast, StartUp
    from trunkline.scaling.prices import Prices
    from trunkline.scaling.profiles import Choice, Profile

FORMATS = ("eksctl", "cloudformation", "terraform", "aws-cli")


def render(invocation: Invocation) -> None:
    """Print the profile and its role as a file."""
    from trunkline.aws.documents import render as document
    from trunkline.scaling.profiles import takes_too_much

    desired = desired_of(invocation)
    for warning in takes_too_much(desired.profile):
        invocation.note(f"trunkline: {warning}")
    print(document(desired, invocation.options.format), end="")


def plan(invocation: Invocation) -> int | None:
    """Print how pipelines fit Fargate."""
    from trunkline.scaling.fargate import Quota

    options = invocation.options
    pipelines = planned(invocation)
    prices = prices_of(invocation)
    job = both_or_none(invocation)
    profiles = _profiles(options, pipelines)
    quota = Quota(vcpus=options.vcpu_quota, addresses=options.free_ips)
    views = [_View(pipeline, profiles, prices, quota, options, job=job) for pipeline in pipelines]
    form = output.form_of(invocation)
    if form == "table":
        for position, view in enumerate(views):
            print("\n" * bool(position) + view.title())
            say(view.lines())
    elif form == "name":
        for view in views:
            print(view.planned.spec.name)
    else:
        output.values((view.plain() for view in views), form)
    return None if all(view.runs for view in views) else FAILURE


def _profiles(options: Any, pipelines: list[Planned]) -> list[Profile]:
    """Return the cluster's profiles, or the one that ``apply`` would make for these pipelines."""
    from trunkline.aws.desired import read_profiles, selectors_for
    from trunkline.scaling.profiles import Profile

    if options.profiles:
        return read_profiles(read_json_or_yaml(options.profiles), options.profiles)
    labels = [
        pipeline.spec.metadata.labels
        for pipeline in pipelines
        if pipeline.spec.metadata and pipeline.spec.metadata.labels
    ]
    selectors = selectors_for(options.namespace, labels)
    return [Profile(name="trunkline", selectors=tuple(selectors))] if selectors else []


class _View:
    """The plan of one pipeline, for people and for programs."""

    def __init__(
        self,
        planned: Planned,
        profiles: list[Profile],
        prices: Prices,
        quota: Quota,
        options: Any,
        *,
        job: bool,
    ) -> None:
        from trunkline.scaling import fargate, fargate_rules, placement
        from trunkline.scaling import profiles as choosing

        self.planned = planned
        self.prices = prices
        self.options = options
        self.choice: Choice = choosing.choose(profiles, planned.pod)
        self.fit: Fit | None = fargate.fit(planned.pod, prices)
        self.findings: list[Finding] = fargate_rules.findings(planned.pod)
        self.start_up: StartUp = placement.fargate_start_up(options.image_gb, options.startup)
        self.ramp = fargate.ramp_seconds(planned.spec.parallelism, quota)
        self.at_once = fargate.at_once(self.fit.size, quota) if self.fit else None
        self.forecast: Forecast | None = None
        if job:
            run = placement.Run(
                pod=planned.pod,
                workers=planned.spec.parallelism,
                autoscaling=planned.spec.autoscaling,
                datums=options.datums,
                seconds_per_datum=options.seconds_per_datum,
            )
            self.forecast = placement.on_fargate(run, prices, self.start_up, quota)

    @property
    def runs(self) -> bool:
        """Whether its pods run on Fargate: a profile selects them, and no rule is broken."""
        refused = any(finding.weight == "refused" for finding in self.findings)
        return self.choice.profile is not None and self.fit is not None and not refused and self.at_once != 0

    @property
    def hour(self) -> float | None:
        """US dollars per worker and hour."""
        if self.fit is None:
            return None
        return self.prices.fargate_hour(self.fit.size.vcpu, self.fit.size.gb, self.fit.storage)

    def title(self) -> str:
        """The first line."""
        workers = self.planned.spec.parallelism
        scale = "at most" if self.planned.spec.autoscaling else "at all times"
        verdict = "runs on Fargate" if self.runs else "does not run on Fargate"
        return f"{self.planned.spec.name}: {workers} worker{'s' * (workers != 1)} {scale}; {verdict}"

    def lines(self) -> list[tuple[str, str]]:
        """The plan, labelled, for people."""
        pod, spec = self.planned.pod, self.planned.spec
        containers = "; ".join(
            f"{container.name} {amounts(container.requests.cpu_millis or 0, container.requests.memory or 0)}"
            for container in pod.containers
        )
        profile = self.choice.sentence
        if self.choice.profile is not None and not self.options.profiles:
            where = f" --cluster {self.options.cluster}" if self.options.cluster else ""
            hint = f'"trunkline fargate apply{where}" creates it, --profiles FILE uses others'
            profile += f" (it does not exist yet; {hint})"
        lines = [("profile", profile), ("asks for", f"{amounts(pod.cpu_millis, pod.memory)} ({containers})")]
        if self.fit is not None:
            lines += self._machine(self.fit)
        lines.append(("start-up", self._start_up()))
        if self.at_once is not None and self.at_once < spec.parallelism:
            lines.append(
                (
                    "quota",
                    f"only {self.at_once} of {spec.parallelism} workers can run at once under the quota or the free "
                    "addresses given; the others wait: request a higher quota, or lower parallelism_spec.constant",
                )
            )
        if self.forecast is not None:
            lines.append(("job", self._job(self.forecast)))
        return lines + [(finding.weight, finding.sentence) for finding in self.findings]

    def _machine(self, fit: Fit) -> list[tuple[str, str]]:
        from trunkline.scaling.fargate_rules import gib

        prices, workers = self.prices, self.planned.spec.parallelism
        hour = self.hour or 0.0
        unused = f"{fit.unused_cpu_millis / 1000:g} vCPU and {gib(fit.unused_memory)} GB"
        price = (
            f"{output.money(hour)} USD per hour and worker, {output.money(hour * workers)} with all {workers} "
            f"({prices.region}, list prices of {prices.as_of})"
        )
        if not prices.storage_is_priced(fit.storage):
            price += "; storage above 20 GB is not counted, its price there is not in the table"
        return [
            ("machine", f"{fit.size} with {fit.storage:g} GB of storage; {unused} of it unused"),
            ("price", price),
        ]

    def _start_up(self) -> str:
        measured = "as specified" if self.options.startup is not None else "expected, not measured"
        text = f"{output.span(self.start_up.seconds)} ({measured})"
        if self.ramp:
            workers = self.planned.spec.parallelism
            later = output.span(self.ramp)
            text += f"; the last of {workers} is launched {later} later, at 20 at once and then 20 per second"
        return text

    def _job(self, forecast: Forecast) -> str:
        options = self.options
        dollars = "" if forecast.dollars is None else f" and {output.money(forecast.dollars)} USD"
        return (
            f"{options.datums:,} datums of {output.span(options.seconds_per_datum)}: "
            f"{output.span(forecast.seconds)}{dollars} with "
            f"{forecast.workers} worker{'s' * (forecast.workers != 1)}"
        )

    def plain(self) -> dict[str, Any]:
        """The plan for programs."""
        pod, spec, fit, prices = self.planned.pod, self.planned.spec, self.fit, self.prices
        return {
            "pipeline": spec.name,
            "project": spec.project,
            "workers": spec.parallelism,
            "autoscaling": spec.autoscaling,
            "runs": self.runs,
            "profile": {
                "name": self.choice.profile.name if self.choice.profile else None,
                "matching": [profile.name for profile in self.choice.matching],
                "ambiguous": self.choice.ambiguous,
                "sentence": self.choice.sentence,
            },
            "asks_for": {
                "vcpu": pod.cpu_millis / 1000,
                "memory_bytes": pod.memory,
                "storage_bytes": pod.storage,
            },
            "machine": None
            if fit is None
            else {
                "capacity_provisioned": str(fit.size),
                "vcpu": fit.size.vcpu,
                "memory_gb": fit.size.gb,
                "storage_gb": fit.storage,
                "unused_vcpu": fit.unused_cpu_millis / 1000,
                "unused_memory_bytes": fit.unused_memory,
            },
            "price": None
            if self.hour is None
            else {
                "region": prices.region,
                "as_of": prices.as_of,
                "currency": "USD",
                "worker_hour": round(self.hour, 6),
                "all_workers_hour": round(self.hour * spec.parallelism, 6),
            },
            "startup_seconds": self.start_up.seconds,
            "ramp_seconds": self.ramp,
            "at_once": self.at_once,
            "job": None if self.forecast is None else to_builtins(self.forecast),
            "findings": [to_builtins(finding) for finding in self.findings],
        }


COMMANDS = {
    "fargate plan": Command(
        plan,
        (
            SPECS,
            NAMESPACE,
            argument("--cluster", metavar="NAME", help="the EKS cluster, for the suggested command"),
            argument(
                "--profiles",
                metavar="FILE",
                help="profiles of the cluster: eksctl, CloudFormation, or describe-fargate-profile (those of apply)",
            ),
            *PRICES,
            *JOB,
            argument(
                "--startup",
                type=positive,
                metavar="SECONDS",
                help="measured duration of a start (50)",
            ),
            argument(
                "--vcpu-quota",
                type=natural,
                metavar="N",
                help="the account's quota of Fargate vCPUs",
            ),
            argument("--free-ips", type=count, metavar="N", help="free addresses in the profile's subnets"),
            *SHOWING,
        ),
        examples=(
            (
                "trunkline fargate plan -f count.yaml --profiles profile.yaml",
                "sizes and prices of the workers of a spec",
            ),
        ),
    ),
    "fargate render": Command(
        render,
        (
            *PROFILE,
            argument(
                "--format",
                choices=FORMATS,
                default="eksctl",
                metavar="FORMAT",
                help=f"kind of file: {', '.join(FORMATS)} (eksctl)",
            ),
        ),
        examples=(
            (
                "trunkline fargate render -f count.yaml --cluster lab --region us-east-1",
                "a Fargate profile for the workers of a spec, as a file for eksctl",
            ),
        ),
    ),
}
