"""Tables of reference pages, made from the tables that the code uses."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

from docs_reference import chart, protocols
from docs_reference.commands import file_name
from docs_reference.markdown import code, table
from trunkline import errors
from trunkline.cli import exit_codes, parsing
from trunkline.cli.command_table import TABLE
from trunkline.cli.help import pachctl_verbs, pages, topics
from trunkline.model import limits, port_limits, states
from trunkline.rpc import status
from trunkline.rpc.asgi.web_calls import HTTP_STATUS
from trunkline.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from enum import StrEnum

    from trunkline.cli.parsing import Argument

_IN_PARENTHESES = re.compile(r" \(([^()]*)\)(?=$|;)")


def settings() -> str:
    """Return the options of ``serve`` with their defaults."""
    rows = []
    for argument in parsing.load("serve").arguments:
        meaning, default = described(argument)
        rows.append((code(pages.syntax(argument).replace("|", " or ")), default, meaning))
    return table(("Option", "Default", "Meaning"), rows)


def described(argument: Argument) -> tuple[str, str]:
    """Return the meaning and the default of an option: the help has the default in parentheses at its end."""
    settings = argument.settings
    text = str(settings.get("help", ""))
    match = _IN_PARENTHESES.search(text)
    if settings.get("required"):
        return text, "required"
    if settings.get("action") == "store_true":
        return text, "off"
    if match is not None:
        return text[: match.start()] + text[match.end() :], match[1]
    default = settings.get("default")
    return text, f"{default:g}" if isinstance(default, float) else str(default) if default else "none"


def limit_table() -> str:
    """Return the limits of ``model.limits``."""
    rows = [(code(name), f"{each:,}", each.unit, each.bounds) for name, each in limits.TABLE.items()]
    return table(("Limit", "Value", "Unit", "What it bounds"), rows)


def port_limit_table() -> str:
    """Return the limits of the port."""
    rows = [
        (code(name), f"{each.default:,}", f"{each.least:,}", f"{each.most:,}", each.unit, each.bounds)
        for name, each in port_limits.TABLE.items()
    ]
    return table(("Name", "Default", "From", "To", "Unit", "What it bounds"), rows)


def error_classes() -> list[type[errors.TrunklineError]]:
    """Return the classes of errors that a server sends, in the order of their module."""
    return [
        each
        for each in vars(errors).values()
        if inspect.isclass(each)
        and issubclass(each, errors.TrunklineError)
        and each is not errors.TrunklineError
    ]


def error_codes() -> str:
    """Return the codes of errors for each interface."""
    rows = []
    for each in error_classes():
        answered = each("")
        answered.answered = True
        rows.append(
            (
                code(each.code),
                str(status.NUMBERS[each.code]),
                str(HTTP_STATUS[each.code]),
                str(exit_codes.exit_code(answered)),
                "yes" if each.retryable else "no",
            )
        )
    return table(("Code", "gRPC", "HTTP", "Exit code", "A retry may help"), dict.fromkeys(rows))


def error_meanings() -> str:
    """Return what errors mean and what to do about them."""
    rows = [
        (code(each.__name__), inspect.cleandoc(each.__doc__ or "").partition("\n")[0], each.remedy)
        for each in error_classes()
    ]
    return table(("Class", "Meaning", "What to do"), rows)


def topic(name: str) -> Callable[[], str]:
    """Return what makes the sections of a topic of help."""

    def make() -> str:
        lines: list[str] = []
        for section in topics.TOPICS[name].sections:
            lines += [f"## {section.title}", ""]
            if section.text:
                lines += [section.text, ""]
            if section.rows:
                rows = [(", ".join(map(code, term.split(", "))), meaning) for term, meaning in section.rows]
                lines += [table(section.heads, rows), ""]
        return "\n".join(lines)

    return make


def metrics() -> str:
    """Return every metric of a server, with its type and its labels."""
    rows = [(code(name), kind, labels, text) for name, kind, labels, text in sorted(metric_rows())]
    return table(("Metric", "Type", "Labels", "Meaning"), rows)


def metric_rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield name, type, labels and meaning of each metric that is registered or read at a scrape."""
    registry = Metrics("0", "0").registry
    for collector in list(registry._collector_to_names):
        for family in collector.collect():
            labels = ", ".join(getattr(collector, "_labelnames", getattr(family, "_labelnames", ())))
            if family.name.startswith("trunkline_"):
                name = family.name + ("_total" if family.type == "counter" else "")
                yield name, family.type, labels, family.documentation
    for family in protocols.scraped():
        yield family.name, family.type, ", ".join(getattr(family, "_labelnames", ())), family.documentation


def state_table(kind: type[StrEnum], transitions: Mapping[Any, frozenset[Any]]) -> Callable[[], str]:
    """Return what makes the table of the states of one kind of object.

    Args:
        kind: the states.
        transitions: the legal next states of each; empty when they follow from other things.
    """

    def make() -> str:
        rows = []
        for state in kind:
            after = ", ".join(code(each.value) for each in kind if each in transitions.get(state, ()))
            rows.append((code(state.value), states.MEANINGS[kind][state], after or "none"))
        if transitions:
            return table(("State", "Meaning", "Next states"), rows)
        return table(("State", "Meaning"), [row[:2] for row in rows])

    return make


def pachctl_commands() -> str:
    """Return what became of each command of pachctl."""
    existing = dict.fromkeys(pachctl_verbs.SAME, "the same") | pachctl_verbs.DIFFERENT
    rows = [
        (code(f"pachctl {name}"), _counterpart(name), difference)
        for name, difference in sorted(existing.items())
    ]
    rows += [
        (code(f"pachctl {name}"), "none", _advice(text))
        for name, text in sorted(pachctl_verbs.INSTEAD.items())
    ]
    return table(("pachctl", "Trunkline", "Difference, or what to use"), rows)


def _advice(text: str) -> str:
    """Return what to use instead of a command, with its commands as code and its pages as links."""
    text = re.sub(r'"((?:trunkline|kubectl) [^"]+)"', r"`\1`", text)
    return re.sub(r"\bdocs/([a-z]+)/([a-z-]+)\.md", r"[\2](../\1/\2.md)", text)


def _counterpart(name: str) -> str:
    link = f"../reference/cli/{file_name(name)}"
    return f"[`{name}`]({link})" if name in TABLE else code(name)


PARTS: Mapping[str, Callable[[], str]] = {
    "settings": settings,
    "limits": limit_table,
    "port-limits": port_limit_table,
    "error-codes": error_codes,
    "error-meanings": error_meanings,
    **{name: topic(name) for name in topics.TOPICS},
    "metrics": metrics,
    "commit-states": state_table(states.CommitState, {}),
    "job-states": state_table(states.JobState, states.JOB_TRANSITIONS),
    "pipeline-states": state_table(states.PipelineState, states.PIPELINE_TRANSITIONS),
    "datum-states": state_table(states.DatumState, {}),
    "worker-states": state_table(states.WorkerState, states.WORKER_TRANSITIONS),
    "pachctl-commands": pachctl_commands,
    "json-fields": protocols.json_fields,
    "rpcs": protocols.rpcs,
    "chart-values": chart.values,
}
