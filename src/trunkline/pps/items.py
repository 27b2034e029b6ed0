"""Items: what the globs of a pipeline's inputs match, and how the parts of an input exchange rows of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from trunkline.model.globs import Glob
    from trunkline.model.spec import Input, PfsInput

#: All fields that decide which items a leaf has for the same files.
LeafKey: TypeAlias = tuple[str, ...]


class ItemRef(NamedTuple):
    """A file or directory that a leaf's glob matched; a named tuple, as there may be a million at a time."""

    #: Name of the input, which is its folder below /pfs.
    input: str
    repo: str
    branch: str
    #: Directories end with ``/``.
    path: str
    hash: bytes
    #: Bytes.
    size: int
    #: What ``join_on`` and ``group_by`` of the leaf become for this path.
    join_on: str = ""
    group_by: str = ""
    #: The content does not count: a change of it does not run the datum again.
    reference: bool = False
    #: In a join it needs no partner.
    outer_join: bool = False
    #: ``origin_of`` the leaf.
    origin: str = ""


class LeafDelta(Struct, frozen=True):
    """The items of a leaf that differ, by path. A changed item is in both."""

    removed: Mapping[str, ItemRef]
    added: Mapping[str, ItemRef]


class ItemsOf(Protocol):
    """Lists items in one state of the files."""

    def __call__(self, leaf: PfsInput, within: Glob | None = None, /) -> Iterable[ItemRef]:
        """Yield the items of a leaf in path order.

        Args:
            leaf: the leaf; may be listed several times.
            within: a glob that the items must match too; None for all.
        """


def leaves_of(spec: Input) -> list[tuple[LeafKey, PfsInput]]:
    """Return the leaves below an input with their keys, in order, equal ones once."""
    return list({leaf_key(leaf): leaf for leaf in spec.files()}.items())


def leaf_key(leaf: PfsInput) -> LeafKey:
    """Return the key of a leaf in mappings by leaf."""
    where = (leaf.project, leaf.repo, leaf.repo_type, leaf.branch, leaf.commit)
    flags = f"{leaf.reference} {leaf.outer_join}"
    return (*where, leaf.glob, leaf.name, leaf.join_on, leaf.group_by, flags)


def origin_of(leaf: PfsInput) -> str:
    """Return where the items of a leaf come from, as a text that tells leaves with one name apart."""
    return f"{leaf.project}/{leaf.repo}.{leaf.repo_type}@{leaf.branch}" + (
        f"={leaf.commit}" if leaf.commit else ""
    )


class LeafIndex:
    """The leaf of each item of a datum row: by its input, and its origin if several leaves have that name."""

    def __init__(self, spec: Input) -> None:
        self._leaves: dict[tuple[str, str], tuple[LeafKey, PfsInput]] = {}
        names: Counter[str] = Counter()
        for key, leaf in leaves_of(spec):
            names[leaf.name] += 1
            self._leaves.setdefault((leaf.name, ""), (key, leaf))
            self._leaves.setdefault((leaf.name, origin_of(leaf)), (key, leaf))
        #: Names that several leaves have.
        self.shared = frozenset(name for name, number in names.items() if number > 1)

    def __iter__(self) -> Iterator[tuple[tuple[str, str], LeafKey, PfsInput]]:
        """Yield input and origin of items with the leaf that they come from."""
        return ((place, key, leaf) for place, (key, leaf) in self._leaves.items())


#: The items of a datum, or of the part of one that a part of the input makes.
Row: TypeAlias = tuple[ItemRef, ...]
#: Where an item is: two items with one place are the same item in two states.
Place: TypeAlias = tuple[str, str, str, str]
#: Where the items of a row are: two rows with one key are the same row in two states.
RowKey: TypeAlias = tuple[Place, ...]
#: A row before and after; None where it does not exist.
Change: TypeAlias = "tuple[Row | None, Row | None]"


def place_of(item: ItemRef) -> Place:
    """Return where an item is."""
    return item[:4]


def key_of(row: Row) -> RowKey:
    """Return where the items of a row are."""
    return tuple(item[:4] for item in row)


class States(Struct, frozen=True):
    """Two states of the files."""

    #: The changed items by ``leaf_key``; a leaf that is missing has not changed.
    deltas: Mapping[LeafKey, LeafDelta]
    old_items: ItemsOf
    new_items: ItemsOf


class Part(Protocol):
    """A node of the input. Rows have unique keys; so have changes."""

    def rows(self, items_of: ItemsOf) -> Iterator[Row]:
        """Yield all rows of one state."""

    def changes(self, states: States) -> Iterator[Change]:
        """Yield the rows that differ between both states."""

    def leaves(self) -> Iterator[PfsInput]:
        """Yield the leaves below."""
