"""Questions before something is deleted, and dry runs of deletions (decision 124).

On a terminal a command asks before it deletes data that no commit keeps, and says how much. Elsewhere nobody can
answer: there it deletes what the command line names, as pachctl does, but everything of a kind only with ``--yes``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from trunkline.cli.exit_codes import UsageError
from trunkline.cli.parsing import argument
from trunkline.errors import NotFound, TrunklineError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from trunkline.cli.invocation import Invocation

YES = argument("-y", "--yes", action="store_true", help="do not ask")
DRY_RUN = argument("--dry-run", action="store_true", help="change nothing; show what would be deleted")
#: Things that a question lists one by one.
_LISTED = 10
#: Seconds to wait for an answer in a pipe.
_PATIENCE = 5.0


class Loss(NamedTuple):
    """Something that a command deletes."""

    #: Such as ``repo``.
    kind: str
    #: As in references.
    name: str
    #: What is deleted with it, such as ``12 commits, 3.2 MiB``; empty for nothing that cannot be made again.
    content: str = ""


def listed(kind: str, name: str, names: Collection[str]) -> list[Loss]:
    """Return what is deleted of a thing that the server only lists.

    Args:
        kind: of the thing, such as ``worker token``.
        name: of the thing.
        names: of those that exist.

    Raises:
        NotFound: it does not exist.
    """
    if name not in names:
        raise NotFound(f"{kind} {name} not found; trunkline list {kind.replace(' ', '-')} shows them")
    return [Loss(kind, name)]


class Declined(TrunklineError):
    """The answer to a question was no."""

    code = "DECLINED"


def is_wanted(
    invocation: Invocation,
    losses: Callable[[], Sequence[Loss]],
    *,
    sweeping: bool = False,
    piped: bool = False,
) -> bool:
    """Return whether a command shall delete; false for a dry run, which is shown here.

    Args:
        invocation: has the option ``DRY_RUN``, and ``YES`` where data can be lost.
        losses: looks up what is deleted. Called only for a dry run or a question, as scripts need no answer.
        sweeping: whether the command line names a whole kind of things, not each thing.
        piped: whether an answer on standard input counts without a terminal, as in ``yes | pachctl delete all``.

    Raises:
        Declined: the answer was no.
        UsageError: nobody can be asked, and the command needs ``--yes``.
    """
    options = invocation.options
    if options.dry_run:
        for loss in losses():
            _show(invocation, loss)
        return False
    if getattr(options, "yes", True):  # commands that delete nothing that is lost have no such option
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        if piped and _is_agreed():
            return True
        if sweeping:
            raise UsageError(
                "without a terminal this needs --yes; --dry-run shows what would be deleted and changes nothing"
            )
        return True
    lost = [loss for loss in losses() if loss.content]
    if lost and not _agrees(lost):
        raise Declined("nothing was deleted")
    return True


def _show(invocation: Invocation, loss: Loss) -> None:
    if invocation.options.output == "json":
        import json

        fields = {"change": "would delete", **loss._asdict()}
        print(json.dumps(fields, ensure_ascii=False))
    else:
        print(f"would delete {_line(loss)}")


def _is_agreed() -> bool:
    """Tell whether the next line of standard input is a yes; a pipe in which nothing comes is none."""
    import select

    try:
        ready, _, _ = select.select([sys.stdin], [], [], _PATIENCE)
    except (OSError, ValueError):  # it is closed
        return False
    return bool(ready) and _is_yes(sys.stdin.readline())


def _is_yes(line: str) -> bool:
    return line.strip().lower() in ("y", "yes")


def _agrees(losses: Sequence[Loss]) -> bool:
    if len(losses) == 1:
        question = f"delete {_line(losses[0])}?"
    else:
        for loss in losses[:_LISTED]:
            print(f"  {_line(loss)}", file=sys.stderr)
        if len(losses) > _LISTED:
            print(f"  and {len(losses) - _LISTED:,} more", file=sys.stderr)
        question = f"delete these {len(losses):,}?"
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return _is_yes(sys.stdin.readline())


def _line(loss: Loss) -> str:
    return f"{loss.kind} {loss.name}" + (f" ({loss.content})" if loss.content else "")
