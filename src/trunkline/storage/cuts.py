"""Where nodes end (``docs/design/format.md``, "Where nodes end").

A node ends after an item with a chance that rises with the fourth power of the node's weight, decided by the hash of
the item's key: node sizes vary little, and changing a value of the same length moves no end. It is the rule of Dolt
(``go/store/prolly/tree/node_splitter.go``, a Weibull distribution with shape 4) in integers. The rule looks only at
the items since the node's start, so cutting can resume at any end.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from operator import add
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Sequence

_MASK = (1 << 64) - 1
_ODD = 0x9E3779B97F4A7C15
_PER_LEVEL = 0xA24BAED4963EE406
#: An inner node never ends before so many children, so that each level has fewer nodes than the one below.
_LEAST_CHILDREN = 4
#: Bytes of a child's key that weigh as much as one more child.
_KEY_UNIT = 64


class LeafCutter:
    """Says where the leaves of a sequence end.

    Args:
        target: bytes of keys and values that a leaf holds on average.

    Attributes:
        weight: bytes of the items since the last end.
        total: bytes of all items.
    """

    __slots__ = ("_factor", "_least", "_shift", "total", "weight")

    def __init__(self, target: int) -> None:
        self._least, self._factor, self._shift = _constants(target)
        self.weight = 0
        self.total = 0

    def ends(self, keys: Sequence[bytes], values: Sequence[bytes]) -> list[int]:
        """Take items that follow; return after how many of them leaves end."""
        totals = list(accumulate(map(add, map(len, keys), map(len, values))))
        start = -self.weight  # what the items before the leaf weigh, counted from the first item taken now
        ends: list[int] = []
        count = len(totals)
        least, factor, shift = self._least, self._factor, self._shift
        # Nothing is hashed while a leaf is too light to end.
        while (at := bisect_left(totals, start + least)) < count:
            before = ((totals[at - 1] if at else 0) - start) ** 4
            while at < count:
                after = (totals[at] - start) ** 4
                x = crc32(keys[at]) * _ODD & _MASK
                if (((x ^ x >> 29) * _ODD & _MASK) >> 32) * factor < after - before << shift:
                    break
                before = after
                at += 1
            else:
                break
            ends.append(at + 1)
            start = totals[at]
        if count:
            self.weight = totals[-1] - start
            self.total += totals[-1]
        return ends


class InnerCutter:
    """Says where the inner nodes of a level end.

    Args:
        target: weight of an inner node on average; a child weighs 1, and more when its key is long.
        level: level of the nodes.

    Attributes:
        weight: weight of the children since the last end.
    """

    __slots__ = ("_count", "_factor", "_least", "_multiplier", "_shift", "weight")

    def __init__(self, target: int, level: int) -> None:
        self._least, self._factor, self._shift = _constants(target)
        self._multiplier = _ODD + _PER_LEVEL * level & _MASK
        self._count = 0
        self.weight = 0

    def ends(self, keys: Sequence[bytes]) -> list[int]:
        """Take the last keys of children that follow; return after how many of them nodes end."""
        ends: list[int] = []
        weight, count = self.weight, self._count
        for number, key in enumerate(keys, 1):
            before = weight
            weight += 1 + len(key) // _KEY_UNIT
            count += 1
            if weight >= self._least and count >= _LEAST_CHILDREN:
                x = crc32(key) * self._multiplier & _MASK
                chance = weight**4 - before**4 << self._shift
                if (((x ^ x >> 29) * _ODD & _MASK) >> 32) * self._factor < chance:
                    ends.append(number)
                    weight = count = 0
        self.weight, self._count = weight, count
        return ends


def _constants(target: int) -> tuple[int, int, int]:
    """Return the least weight of a node, and what both sides of the comparison are multiplied by.

    The rule compares ``h · T⁴`` with a difference ``· 2³²``; for the targets in use the common factor goes out.
    """
    power, shift = target**4, 32
    if power % (1 << 32) == 0:
        power, shift = power >> 32, 0
    return (target + 1) // 2, power, shift
