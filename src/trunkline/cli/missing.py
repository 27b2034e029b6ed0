"""What to do about a name that does not exist: names like it, other projects that have it, when it was deleted."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

from trunkline.cli import output
from trunkline.errors import TrunklineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.client.stubs import Service

LIMIT = 2.0  # seconds that the server has to answer; the error waits for it


def hint(console: Service, references: Sequence[Mapping[str, str]], message: str) -> str:
    """Return a sentence that helps; empty when the server knows nothing.

    Args:
        console: knows what exists and what was deleted.
        references: of the command line, as fields of a ``FindDeletionRequest``.
        message: of the server; it says which of the references does not exist.
    """
    from trunkline.rpc.gen import console_pb2

    def names_in_message(reference: Mapping[str, str]) -> int:
        return sum(name in message for name in reference.values())

    # Of equal ones the last: a command looks at its references in their order.
    reference = max(reversed(references), key=names_in_message)
    try:
        deletion = console.FindDeletion(console_pb2.FindDeletionRequest(**reference), timeout=LIMIT)
    except TrunklineError:
        return ""
    return "; ".join(_sentences(deletion))


def _sentences(deletion: Any) -> Sequence[str]:
    sentences = []
    if deletion.HasField("at"):
        ago = output.age(time() - output.seconds(deletion.at)).replace("now", "just now")
        owner = getattr(deletion, "with")
        sentences.append(f"it was deleted {f'with an earlier {owner} of this name ' if owner else ''}{ago}")
    if deletion.projects:
        first = deletion.projects[0]
        others = " and ".join(deletion.projects)
        sentences.append(f"there is one in project {others}: --project {first}")
    if deletion.similar:
        sentences.append(f"did you mean {_choice(deletion.similar)}?")
    return sentences


def _choice(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
