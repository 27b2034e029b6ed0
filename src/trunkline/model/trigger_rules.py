"""Triggers of branches: when the head of a branch moves to a commit of another branch of its repo.

The conditions are those of Pachyderm. Each commit of the other branch that finishes without an error is a candidate, in
order; the branch moves to it if the conditions hold between its old head and the candidate.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.errors import InvalidArgument
from trunkline.model import limits, names, spec_fields
from trunkline.model.schedules import parse_schedule
from trunkline.model.spec import Trigger

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Bytes with a decimal unit, as in Docker's tools, from which Pachyderm has it: 1KB and 1KiB are 1,000 bytes.
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([kmgtp]?)i?b?", re.ASCII | re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


class Point(Struct, frozen=True):
    """What conditions look at of a commit."""

    #: Bytes of its files.
    size: int
    #: Seconds since the epoch.
    finished: float


def check(trigger: Trigger, branch: str, where: str) -> None:
    """Check a trigger.

    Args:
        trigger: the trigger.
        branch: the branch that has it.
        where: the field that it comes from, for messages.

    Raises:
        InvalidArgument: it is not valid.
    """
    if not trigger.branch:
        raise InvalidArgument(
            f"{where}.branch is empty; name the branch whose commits trigger, such as master"
        )
    names.check_branch(trigger.branch)
    if trigger.branch == branch:
        raise InvalidArgument(
            f'{where}.branch is "{branch}" itself, and triggers cannot form a loop; name another branch'
        )
    conditions = (trigger.size, trigger.commits, trigger.rate_limit_spec)
    if trigger.cron_spec and (any(conditions) or trigger.all):
        raise InvalidArgument(f"{where} has cron_spec beside other conditions; keep one kind")
    if not trigger.cron_spec and not any(conditions):
        raise InvalidArgument(f"{where} has no condition; set size, commits, rate_limit_spec or cron_spec")
    if trigger.commits < 0:
        raise InvalidArgument(f"{where}.commits is {trigger.commits}; write 1 or more")
    if trigger.size:
        parse_size(trigger.size, f"{where}.size")
    for field, schedule in (("rate_limit_spec", trigger.rate_limit_spec), ("cron_spec", trigger.cron_spec)):
        if schedule:
            limits.check_text(schedule, limits.SCHEDULE, f"{where}.{field}")
            parse_schedule(schedule, f"{where}.{field}")


def fires(trigger: Trigger, old: Point | None, new: Point, commits: int) -> bool:
    """Return whether a branch moves to a new commit.

    Args:
        trigger: a valid trigger without ``cron_spec``.
        old: the branch's head; None without one.
        new: the candidate.
        commits: number of commits from behind ``old`` up to ``new``, or from the first commit.
    """
    held: list[bool] = []
    if trigger.size:
        held.append(new.size - (old.size if old is not None else 0) >= parse_size(trigger.size, "size"))
    if trigger.rate_limit_spec:
        due = parse_schedule(trigger.rate_limit_spec, "rate_limit_spec").after(
            old.finished if old is not None else 0.0
        )
        held.append(due is not None and due < new.finished)
    if trigger.commits:
        held.append(commits >= trigger.commits)
    return all(held) if trigger.all else any(held)


def parse_size(text: str, where: str) -> int:
    """Return a size in bytes.

    Args:
        text: for example ``100MB``.
        where: the field it comes from, for the message.

    Raises:
        InvalidArgument: it is not a size.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidArgument(f'{where} "{text[:60]}" is not a size; write for example 100MB')
    return int(float(match[1]) * 1000 ** _POWERS[match[2].lower()])


class SetTrigger(Struct, frozen=True):
    """A trigger as a branch has it."""

    trigger: Trigger
    #: Id of the other branch's head when the trigger was set: up to it no commit is a candidate. Empty without one.
    since: str

    def to_json(self) -> dict[str, object]:
        """Return it as JSON."""
        return {**spec_fields.write(self.trigger), "since": self.since}


def from_json(obj: Mapping[str, object]) -> SetTrigger:
    """Return the trigger of a branch from its JSON."""
    fields = dict(obj)
    since = str(fields.pop("since", ""))
    return SetTrigger(spec_fields.read(Trigger, fields), since)
