"""How pipelines share the memory of machines whose number cannot grow. Pure.

Progressive filling (Bertsekas and Gallager, Data Networks, section 6.5.2), which gives weighted max-min fairness:
each pipeline gets one worker; then the next worker always goes to the pipeline that has the least memory for its
weight, among those of the highest priority that want more.
"""

from __future__ import annotations

import heapq
from itertools import groupby
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping


class Contender(Struct, frozen=True, kw_only=True):
    """A pipeline that wants workers."""

    #: Bytes that a worker requests.
    memory: int
    #: Workers that have something to do.
    workers: int
    weight: float = 1.0
    priority: int = 0


def shares(contenders: Mapping[int, Contender], capacity: int) -> dict[int, int]:
    """Return how many workers each pipeline may have.

    Args:
        contenders: by row number of the pipeline.
        capacity: bytes of memory for all workers together.

    >>> shares({1: Contender(memory=1, workers=1_000), 2: Contender(memory=1, workers=5)}, 20)
    {1: 15, 2: 5}
    """
    if sum(each.workers * each.memory for each in contenders.values()) <= capacity:
        return {number: each.workers for number, each in contenders.items()}
    result = dict.fromkeys(contenders, 0)
    free = capacity
    ranked = sorted(contenders.items(), key=lambda item: (-item[1].priority, item[0]))
    for number, each in ranked:
        if each.workers and each.memory <= free:
            result[number] = 1
            free -= each.memory
    for _, tier in groupby(ranked, lambda item: item[1].priority):
        heap = [(each.memory * result[number] / each.weight, number) for number, each in tier]
        heapq.heapify(heap)
        while heap:
            _, number = heapq.heappop(heap)
            each = contenders[number]
            if result[number] < each.workers and each.memory <= free:
                result[number] += 1
                free -= each.memory
                heapq.heappush(heap, (each.memory * result[number] / each.weight, number))
    return result
