"""Applies the changes of a long stream while it runs, so that finishing its commit takes no time.

A stream of more than 32,768 files stores its changes as several deltas. The stream's own thread applies each of them
to a tree that grows, beginning with the files of the open commit. When the stream has been
recorded, the result is remembered in memory: layers that begin with these deltas, on the same base, are known to make
this tree. Whoever reads or finishes the commit applies only what was added since
(docs/design/decisions/0045-applied-ahead.md).

Nothing refers to the result until the commit is finished, and nobody depends on it: after a restart, or when other
changes came between, the layers are applied as ever. A garbage collector must treat ``AppliedAhead.trees`` as trees
in use.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from trunkline.storage.apply_deltas import apply_deltas
from trunkline.storage.deltas import DELTA
from trunkline.storage.sums import EMPTY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.storage.packing import ChunkWriter
    from trunkline.storage.sums import TreeId
    from trunkline.storage.trees import Trees

#: Results in memory, a few hundred bytes each.
_REMEMBERED = 64


class AppliedAhead:
    """The results of recorded streams. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: By base and deltas: the tree that they make.
        self._trees: OrderedDict[tuple[TreeId, ...], TreeId] = OrderedDict()

    @property
    def trees(self) -> list[TreeId]:
        """The trees that are remembered."""
        with self._lock:
            return list(self._trees.values())

    def remember(self, base: TreeId, deltas: Sequence[TreeId], tree: TreeId) -> None:
        """Remember that deltas make a tree. All bytes are durable and in the chunk index.

        Args:
            base: what the deltas were applied to.
            deltas: in their order.
            tree: the result, which may be a finished commit's.
        """
        with self._lock:
            self._trees[base, *deltas] = tree
            if len(self._trees) > _REMEMBERED:
                self._trees.popitem(last=False)

    def shorten(self, base: TreeId, deltas: Sequence[TreeId]) -> tuple[TreeId, Sequence[TreeId]]:
        """Return a tree and deltas that make the same files, with as few deltas as is known."""
        with self._lock:
            for count in range(len(deltas), 0, -1) if self._trees else ():
                tree = self._trees.get((base, *deltas[:count]))
                if tree is not None:
                    return tree, deltas[count:]
        return base, deltas


class GrowingTree:
    """The files that one stream's deltas make, as far as they have been applied. Used by the stream's thread.

    Args:
        trees: the store's file trees.
        writer: the stream's, which has the deltas and takes the tree.
        base: the tree below the layers that the commit had.
        earlier: these layers.
        tree: what they make of the base; None when that is not known, and nothing can be applied.
    """

    def __init__(
        self, trees: Trees, writer: ChunkWriter, base: TreeId, earlier: Sequence[TreeId], tree: TreeId | None
    ) -> None:
        self._trees = trees.passing()
        self._writer = writer
        self._base = base
        self._applied = list(earlier)
        self._tree = tree
        self._result: TreeId | None = None

    def apply(self, delta: TreeId) -> None:
        """Apply the next delta, unless an earlier one could not be, or this one would cost more than its own size.

        Files that come in the order of their paths add to the end of the tree. Where they come in any order, each
        delta would write most of the tree again: then it is better to wait and apply all deltas at once.
        """
        tree, self._tree = self._tree, None
        if tree is None or not self._is_cheap(tree, delta):
            return
        applied = apply_deltas(self._trees, self._writer, tree, [delta])
        if applied.problem:  # a later delta may solve it
            return
        self._applied.append(delta)
        self._tree = self._result = applied.tree

    def remember(self, ahead: AppliedAhead) -> None:
        """Remember the result once the stream is recorded."""
        if self._result is not None:
            ahead.remember(self._base, self._applied, self._result)

    def _is_cheap(self, tree: TreeId, delta: TreeId) -> bool:
        if tree == EMPTY:
            return True
        trees = self._trees.through(self._writer)
        deltas = trees.of(DELTA)
        first = deltas.next_row(delta, b"")
        last = next(deltas.scan(delta, reverse=True), None)
        if first is None or last is None:
            return True
        between = trees.summary(tree, first[0], last[0] + b"\0").rows
        return between <= deltas.summary(delta).rows
