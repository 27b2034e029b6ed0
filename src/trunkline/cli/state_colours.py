"""The colour of each state, for tables, ``trunkline top`` and drawings.

A state has one of the roles of the console's marks (``console/src/lib/states.ts``); a test compares the two tables.
Colours only help: the word is always there.
"""

from __future__ import annotations

#: Words by role. ``starting`` is ``active`` for workers and datums in the console; here a word has one role.
_WORDS = {
    "good": ("success", "finished", "added"),
    "active": ("running", "egressing", "finishing", "busy", "open", "ready"),
    "wait": ("starting", "restarting", "pending", "building", "recovered", "changed"),
    "bad": ("failure", "failed", "unrunnable", "crashing", "lost", "deleted"),
    "neutral": (
        "created", "killed", "standby", "paused", "idle", "retiring", "gone", "skipped", "forgotten", "unknown",
    ),
}  # fmt: skip
ROLES = {word: role for role, words in _WORDS.items() for word in words}

#: Of a terminal's sixteen colours: the number of the escape sequence and the name that Rich and Textual know.
_TERMINAL = {
    "good": ("32", "green"),
    "active": ("36", "cyan"),
    "wait": ("33", "yellow"),
    "bad": ("31", "red"),
}


def escape_number(state: str) -> str:
    """Return the number of the escape sequence that colours a state; empty for no colour."""
    return _TERMINAL.get(ROLES.get(state, ""), ("", ""))[0]


def style(state: str) -> str:
    """Return the style of a state for Rich and Textual; empty for no colour."""
    return _TERMINAL.get(ROLES.get(state, ""), ("", ""))[1]
