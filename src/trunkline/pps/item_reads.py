"""Items of leaves, read from file trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.model.glob_keys import keys
from trunkline.model.globs import compile_glob
from trunkline.pps.items import ItemRef, LeafDelta, origin_of
from trunkline.storage import file_globs
from trunkline.storage import files as storage_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trunkline.model.globs import Glob
    from trunkline.model.spec import PfsInput
    from trunkline.storage.files import FileEntry
    from trunkline.storage.sums import TreeId
    from trunkline.storage.trees import Trees


def items(trees: Trees, tree: TreeId, leaf: PfsInput, within: Glob | None) -> Iterator[ItemRef]:
    """Yield the items of a leaf in path order.

    Args:
        trees: the store's file trees.
        tree: the files that the leaf reads.
        leaf: the leaf.
        within: a glob that the items must match too; None for all.
    """
    glob, item = compile_glob(leaf.glob), _item_of(leaf)
    if within is None:
        return map(item, file_globs.glob(trees, tree, glob))
    return (item(entry) for entry in file_globs.glob(trees, tree, within) if glob.matches(_path_of(entry)))


def delta(trees: Trees, leaf: PfsInput, old: TreeId, new: TreeId) -> LeafDelta:
    """Return the items of a leaf that differ between two trees.

    Args:
        trees: the store's file trees.
        leaf: the leaf.
        old: the files before.
        new: the files after.
    """
    removed: dict[str, ItemRef] = {}
    added: dict[str, ItemRef] = {}
    if old != new:
        glob, item = compile_glob(leaf.glob), _item_of(leaf)
        for now, before in storage_files.diff(trees, old, new):
            entry = now or before
            assert entry is not None
            if not glob.matches(_path_of(entry)):
                continue
            if before is not None:
                removed[before.path] = item(before)
            if now is not None:
                added[now.path] = item(now)
    return LeafDelta(removed=removed, added=added)


def _path_of(entry: FileEntry) -> str:
    """Return the path that globs match."""
    return entry.path.rstrip("/") or "/"


def _item_of(leaf: PfsInput) -> Callable[[FileEntry], ItemRef]:
    """Return what makes an entry an item of a leaf."""
    name, repo, branch = leaf.name, leaf.repo, leaf.branch
    reference, outer_join, origin = leaf.reference, leaf.outer_join, origin_of(leaf)
    if not leaf.join_on and not leaf.group_by:
        # By position, which takes half the time: a plan may make a million.
        return lambda entry: ItemRef(
            name, repo, branch, entry.path, entry.hash, entry.size, "", "", reference, outer_join, origin
        )
    join_on, group_by = keys(leaf.glob, leaf.join_on).of, keys(leaf.glob, leaf.group_by).of

    def item(entry: FileEntry) -> ItemRef:
        path = _path_of(entry)
        return ItemRef(
            name,
            repo,
            branch,
            entry.path,
            entry.hash,
            entry.size,
            join_on(path),
            group_by(path),
            reference,
            outer_join,
            origin,
        )

    return item
