"""Lists of messages through the jq filters of requests."""

from __future__ import annotations

from contextlib import closing
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeVar

from google.protobuf import json_format

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from google.protobuf.message import Message

    from trunkline.ports import Programs

M = TypeVar("M", bound="Message")
#: Messages that a filter gets at a time; its limits are for all of them.
_AT_A_TIME = 64


def filtered(
    programs: Programs, expression: str, pages: Generator[Iterable[M]], number: int = 0
) -> Generator[list[M]]:
    """Yield the messages that a filter lets through, in lists. Blocks.

    Args:
        programs: runs the filter.
        expression: the filter; empty for all messages.
        pages: the messages.
        number: the largest number of messages that pass; 0 for all.
    """
    with closing(pages):
        if not expression:
            for page in pages:
                yield list(page)
            return
        with programs.filter(expression) as passing:
            messages = chain.from_iterable(pages)
            remaining = number or None
            while group := list(islice(messages, _AT_A_TIME)):
                texts = [
                    json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None)
                    for message in group
                ]
                passed = [message for message, passes in zip(group, passing(texts), strict=True) if passes]
                yield passed[:remaining]
                if remaining is not None:
                    remaining -= len(passed)
                    if remaining <= 0:
                        return


def without_first(lists: Generator[list[M]], count: int) -> Generator[list[M]]:
    """Yield lists of messages without the first ``count`` messages of all."""
    with closing(lists):
        for each in lists:
            yield each[count:]
            count = max(0, count - len(each))
