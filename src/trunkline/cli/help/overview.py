"""The first screen of help, and the lists of commands that begin with a verb or are about a noun."""

from __future__ import annotations

import textwrap

from trunkline.cli.command_table import TABLE

#: Characters of a line of help.
WIDTH = 80
#: Groups of the first screen: title, and the nouns of their commands, or commands of one word, the usual ones first.
GROUPS: tuple[tuple[str, str, str], ...] = (
    ("Start here", "try it, run it, watch it work", "demo serve top version"),
    (
        "Data",
        "versioned files: repos, commits, branches",
        "project repo branch commit file metadata transaction all fsck",
    ),
    (
        "Pipelines and jobs",
        "what runs, why, and what it printed",
        "pipeline job datum logs events cron defaults status apply plan recommend",
    ),
    (
        "Workers and cost",
        "who runs it, where, and at what price",
        "worker node cost image worker-token fargate nodes",
    ),
    ("Server and access", "keep it going", "cluster secret storage debug pfs-load-test pps-load-test"),
    ("Settings", "which server, and the shell", "context config completion help"),
)
_EXAMPLES = (
    ("trunkline put file texts@master:/hamlet.txt -f hamlet.txt", "write a file into a repo"),
    ("trunkline create pipeline -f count.yaml", "run a command on its files"),
    ("trunkline list job -p count", "see what has run"),
)


def first_screen() -> str:
    """Return what ``trunkline --help`` prints: groups, a few examples, where to look next."""
    lines = [
        "usage: trunkline VERB NOUN [OPTIONS]",
        "",
        "Versioned data, and pipelines that run only what changed.",
        "",
    ]
    for title, meaning, words in GROUPS:
        lines.append(f"{title}: {meaning}")
        lines += textwrap.wrap(
            words.replace(" ", "  "), WIDTH - 2, initial_indent="  ", subsequent_indent="  "
        )
    lines += ["", "Examples:"]
    width = max(len(command) for command, _ in _EXAMPLES)
    for command, meaning in _EXAMPLES:
        whole = f"  {command:{width}}  # {meaning}"
        lines.append(whole if len(whole) <= WIDTH else f"  {command}")
    lines += [
        "",
        "trunkline NOUN          the commands about a noun, such as: trunkline repo",
        "trunkline VERB          the commands that begin with a verb",
        "trunkline VERB NOUN -h  examples and options of a command",
        "trunkline help TOPIC    references, output, environment, exit-codes, spec",
        "trunkline --all         all commands",
    ]
    return "\n".join(lines)


def commands(names: list[str], usage: str) -> str:
    """Return commands with their summaries.

    Args:
        names: of the commands.
        usage: the words of the first line.
    """
    width = max(map(len, names))
    lines = [f"usage: {usage}", ""]
    for name in names:
        first, *others = textwrap.wrap(TABLE[name][1], WIDTH - width - 4)
        lines.append(f"  {name:{width}}  {first}")
        lines += [f"{'':{width + 4}}{other}" for other in others]
    lines += ["", '"trunkline help COMMAND" describes each.']
    return "\n".join(lines)


def every_command() -> str:
    """Return all commands, as ``trunkline --all`` prints them."""
    return commands(list(TABLE), "trunkline COMMAND … [OPTIONS]")


def beginning_with(words: str) -> list[str]:
    """Return the names of the commands that begin with words, such as ``list`` or ``config get``."""
    return [name for name in TABLE if name.startswith(f"{words} ")]


def about(noun: str) -> list[str]:
    """Return the names of the commands about a noun, such as ``repo``."""
    return [name for name in TABLE if name.endswith(f" {noun}")]
