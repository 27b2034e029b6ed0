"""Shared by ``fargate plan`` and ``nodes plan``: specs as pods, price files, numbers, wrapped output."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from trunkline.cli.exit_codes import UsageError
from trunkline.cli.parsing import argument
from trunkline.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.cli.invocation import Invocation
    from trunkline.model.spec import PipelineSpec
    from trunkline.scaling.pods import Pod
    from trunkline.scaling.prices import Prices

#: Region of the prices when none is selected; every line with a price names its region.
DEFAULT_REGION = "us-east-1"


class Planned(NamedTuple):
    """A pipeline and the pod of one of its workers."""

    spec: PipelineSpec
    pod: Pod


def positive(text: str) -> float:
    """Read a number above 0."""
    return _number(text, least=0.0, strict=True)


def natural(text: str) -> float:
    """Read a number of 0 or more."""
    return _number(text, least=0.0, strict=False)


def count(text: str) -> int:
    """Read a whole number of 1 or more."""
    number = _number(text, least=1.0, strict=False)
    if number != int(number):
        raise UsageError(f'"{text}" is not a whole number')
    return int(number)


def _number(text: str, *, least: float, strict: bool) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not (number > least if strict else number >= least) or number == float("inf"):
        bound = "above 0" if strict else f"of {least:g} or more"
        raise UsageError(f'"{text}" is not a number {bound}')
    return number


SPECS = argument(
    "-f", "--file", required=True, metavar="FILE", help="pipeline specs in JSON or YAML; - is standard input"
)
NAMESPACE = argument(
    "--namespace", default="default", metavar="NAMESPACE", help="namespace of the workers (default)"
)
PRICES = (
    argument(
        "--region", metavar="REGION", help=f"AWS region, for prices (AWS_REGION, else {DEFAULT_REGION})"
    ),
    argument("--prices", metavar="FILE", help="prices in JSON that override those of Trunkline"),
)
JOB = (
    argument("--datums", type=count, metavar="N", help="datums of a job, for its duration and price"),
    argument("--seconds-per-datum", type=positive, metavar="SECONDS", help="duration of one datum"),
    argument(
        "--image-gb", type=natural, default=0.0, metavar="GB", help="compressed size of the image (small)"
    ),
)


def planned(invocation: Invocation) -> list[Planned]:
    """Return the pipelines of the spec file, with the pods that the Kubernetes fleet would make of them."""
    from trunkline.app.worker_pods import manifest
    from trunkline.aws.pods import read_pod
    from trunkline.cli.specs import read_specs
    from trunkline.model import spec_rules

    options = invocation.options
    specs = [spec_rules.load(spec) for spec in read_specs(options.file)]
    return [Planned(spec, read_pod(manifest(spec, options.namespace))) for spec in specs]


def prices_of(invocation: Invocation) -> Prices:
    """Return the prices of the selected region.

    Raises:
        NotFound: there are no prices for it.
        InvalidArgument: the price file is not valid.
    """
    from trunkline.aws.desired import check_region
    from trunkline.scaling.prices import prices

    options = invocation.options
    region = (
        options.region
        or os.environ.get("AWS_REGION")
        or os.environ.get("AWS_DEFAULT_REGION")
        or DEFAULT_REGION
    )
    check_region(region)
    overlay = read_json_or_yaml(options.prices) if options.prices else None
    return prices(region, overlay, options.prices or "")


def read_json_or_yaml(path: str) -> Any:
    """Return the content of a file; several YAML documents are a list."""
    import json

    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        return json.loads(text)
    except ValueError:
        pass
    import yaml

    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InvalidArgument(f"{path} is neither JSON nor YAML{where}; correct it") from error
    return documents[0] if len(documents) == 1 else documents


def both_or_none(invocation: Invocation) -> bool:
    """Return whether the options describe a job.

    Raises:
        UsageError: one of the two options is missing.
    """
    options = invocation.options
    if (options.datums is None) != (options.seconds_per_datum is None):
        raise UsageError("a job needs both --datums and --seconds-per-datum; add the missing one")
    return options.datums is not None


# On the terminal --------------------------------------------------------------------------------------------


def say(lines: Iterable[tuple[str, str]], label_width: int = 10) -> None:
    """Print labelled sentences, wrapped at the terminal's width; into a pipe, one line each."""
    import textwrap

    width = _columns()
    for label, text in lines:
        head = f"  {label:{label_width}}  "
        if width is None:
            print(f"{head}{text}".rstrip())
        else:
            print(
                textwrap.fill(
                    text,
                    width,
                    initial_indent=head,
                    subsequent_indent=" " * len(head),
                    break_on_hyphens=False,
                    break_long_words=False,
                )
            )


def _columns() -> int | None:
    if not sys.stdout.isatty():
        return None
    return max(40, os.get_terminal_size(sys.stdout.fileno()).columns or 80)


def amounts(cpu_millis: int, memory: int) -> str:
    """Return processors and memory as text: ``1.05 CPU, 4.125 GiB``."""
    from trunkline.scaling.fargate_rules import gib

    return f"{cpu_millis / 1000:g} CPU, {gib(memory)} GiB"
