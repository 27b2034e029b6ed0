"""What completion asks and offers."""

from __future__ import annotations

from typing import NamedTuple

#: Seconds after which a shell is offered nothing.
LIMIT = 0.3


class Candidate(NamedTuple):
    """A text that may stand under the cursor."""

    text: str
    note: str = ""


class Question(NamedTuple):
    """A value that only files, settings or the server know."""

    kind: str
    current: str
    #: Arguments before it, without options.
    before: tuple[str, ...]
    #: Values of the options of every command: address, context, project, ca.
    settings: dict[str, str]
