"""Which datums an input makes of files, and which of them a change of files touches."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.errors import InvalidArgument
from trunkline.model import limits
from trunkline.model.glob_keys import keys
from trunkline.model.globs import compile_glob
from trunkline.model.spec import Input, PfsInput
from trunkline.pps import datum_lists, datums, keyed_parts, products, sorted_rows
from trunkline.pps.items import ItemRef, LeafDelta, LeafKey, leaves_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trunkline.model.globs import Glob
    from trunkline.pps.datums import DatumSpec
    from trunkline.pps.items import ItemsOf

#: Content by path, by repo.
Files = Mapping[str, Mapping[str, str]]
SALT = "salt"


def leaf(repo: str, glob: str = "/*", name: str = "", **fields: object) -> Input:
    """Return a complete pfs input."""
    pfs = PfsInput(
        project="default", name=name or repo, repo=repo, repo_type="user", branch="master", glob=glob
    )
    return Input(pfs=replace(pfs, **fields))  # type: ignore[arg-type]


#: Captures the name up to its first dot.
STEM = "/+([!.])?(.*)"


def joined(repo: str, glob: str = STEM, **fields: object) -> Input:
    """Return an input for a join, whose files have their stem as key."""
    return leaf(repo, glob, join_on="$1", **fields)  # type: ignore[arg-type]


def grouped(repo: str, glob: str = STEM, **fields: object) -> Input:
    """Return an input for a group, whose files have their stem as key."""
    return leaf(repo, glob, group_by="$1", **fields)  # type: ignore[arg-type]


def item_of(pfs: PfsInput, path: str, content: str) -> ItemRef:
    """Return an item of a leaf."""
    return ItemRef(
        input=pfs.name,
        repo=pfs.repo,
        branch=pfs.branch,
        path=path,
        hash=hashlib.sha256(content.encode()).digest(),
        size=len(content),
        join_on=keys(pfs.glob, pfs.join_on).of(path),
        group_by=keys(pfs.glob, pfs.group_by).of(path),
        reference=pfs.reference,
        outer_join=pfs.outer_join,
    )


def lister(files: Files) -> ItemsOf:
    """Return what lists the items of a leaf."""

    def items_of(pfs: PfsInput, within: Glob | None = None) -> Iterator[ItemRef]:
        glob = compile_glob(pfs.glob)
        for path, content in sorted(files.get(pfs.repo, {}).items()):
            if glob.matches(path) and (within is None or within.matches(path)):
                yield item_of(pfs, path, content)

    return items_of


def paths_of(spec: Input, files: Files) -> list[tuple[str, ...]]:
    """Return the paths of each datum's items, sorted."""
    datum_specs = list(datum_lists.enumerate_datums(spec, lister(files), SALT))
    return sorted(tuple(f"{item.input}:{item.path}" for item in datum.items) for datum in datum_specs)


def deltas_of(spec: Input, old: Files, new: Files) -> dict[LeafKey, LeafDelta]:
    deltas = {}
    for key, pfs in leaves_of(spec):
        before = {item.path: item for item in lister(old)(pfs)}
        after = {item.path: item for item in lister(new)(pfs)}
        deltas[key] = LeafDelta(
            removed={path: item for path, item in before.items() if after.get(path) != item},
            added={path: item for path, item in after.items() if before.get(path) != item},
        )
    return deltas


def changes_of(spec: Input, old: Files, new: Files) -> list[datum_lists.DatumChange]:
    return list(datum_lists.changed(spec, deltas_of(spec, old, new), lister(old), lister(new), SALT))


def never(pfs: PfsInput, within: Glob | None = None) -> Iterable[ItemRef]:
    raise AssertionError(f"{pfs.name} was listed within {within}")


# --- ids and hashes ------------------------------------------------------------------------------------


def test_the_id_is_made_of_names_and_paths_and_the_hash_of_contents_and_salt() -> None:
    photo = ItemRef("images", "pictures", "master", "/a.png", b"\x01" * 32, 3)
    parts = ItemRef("é", "edges", "v2", "/dir/", b"\x02" * 32, 3)

    datum = datums.datum_of((photo, parts), "pepper")

    # Each text is followed by its length in bytes, 64 bits, highest first.
    place = (
        b"images\0\0\0\0\0\0\0\x06pictures\0\0\0\0\0\0\0\x08master\0\0\0\0\0\0\0\x06/a.png\0\0\0\0\0\0\0\x06"
        b"\xc3\xa9\0\0\0\0\0\0\0\x02edges\0\0\0\0\0\0\0\x05v2\0\0\0\0\0\0\0\x02/dir/\0\0\0\0\0\0\0\x05"
    )
    assert datum.id == hashlib.blake2b(place, digest_size=32).digest()
    content = datum.id.hex().encode() + b"\x01" * 32 + b"\x02" * 32 + b"pepper"
    assert datum.hash == hashlib.blake2b(content, digest_size=32).digest()
    assert datum.items == (photo, parts)


def test_ids_and_hashes_never_change() -> None:
    """Frozen: other values would make every datum of every pipeline run again."""
    datum = datums.datum_of((ItemRef("images", "images", "master", "/a.png", bytes(32), 0),), "")

    assert datum.id.hex() == "c798638147de36991f56b74abcef483095a536a3cee1e395b04cfd6b39a1a6b4"
    assert datum.hash.hex() == "90705e2c66cfad3ba66c501bee5638df842fe1e2cd7bd2e51d3c1c380d8aba4c"


def test_the_content_of_a_reference_item_does_not_count() -> None:
    photo = ItemRef("images", "images", "master", "/a.png", b"\x01" * 32, 3)
    table = ItemRef("table", "table", "master", "/t", b"\x02" * 32, 3, reference=True)

    before = datums.datum_of((photo, table), SALT)
    after = datums.datum_of((photo, table._replace(hash=b"\x03" * 32)), SALT)

    assert before.hash == after.hash


# --- all datums ----------------------------------------------------------------------------------------


def test_a_pfs_input_makes_a_datum_of_each_match() -> None:
    assert paths_of(leaf("a"), {"a": {"/x": "1", "/y": "2", "/d/z": "3"}}) == [("a:/x",), ("a:/y",)]


def test_a_cross_pairs_everything_in_the_order_of_its_inputs() -> None:
    spec = Input(cross=(leaf("b"), leaf("a")))

    assert paths_of(spec, {"a": {"/x": "1", "/y": "2"}, "b": {"/1": "", "/2": ""}}) == [
        ("b:/1", "a:/x"),
        ("b:/1", "a:/y"),
        ("b:/2", "a:/x"),
        ("b:/2", "a:/y"),
    ]


def test_a_cross_with_nothing_is_nothing() -> None:
    assert paths_of(Input(cross=(leaf("a"), leaf("b"))), {"a": {"/x": "1"}}) == []


def test_a_union_makes_the_datums_of_its_branches() -> None:
    spec = Input(union=(leaf("a"), leaf("b")))

    assert paths_of(spec, {"a": {"/x": "1"}, "b": {"/x": "1"}}) == [("a:/x",), ("b:/x",)]


def test_a_file_that_two_branches_of_a_union_match_is_one_datum() -> None:
    spec = Input(union=(leaf("a", "/x*"), leaf("a", "/*y")))

    assert paths_of(spec, {"a": {"/x": "1", "/xy": "2", "/y": "3"}}) == [("a:/x",), ("a:/xy",), ("a:/y",)]


def test_a_join_pairs_equal_keys() -> None:
    spec = Input(join=(joined("a"), joined("b")))

    assert paths_of(spec, {"a": {"/k.1": "", "/k.2": "", "/only": ""}, "b": {"/k.3": "", "/other": ""}}) == [
        ("a:/k.1", "b:/k.3"),
        ("a:/k.2", "b:/k.3"),
    ]


def test_an_outer_side_of_a_join_needs_no_partner() -> None:
    spec = Input(join=(joined("a", outer_join=True), joined("b"), joined("c")))
    files = {
        "a": {"/k": "", "/half": "", "/alone": ""},
        "b": {"/k": "", "/half": ""},
        "c": {"/k": "", "/c": ""},
    }

    assert paths_of(spec, files) == [("a:/alone",), ("a:/half",), ("a:/k", "b:/k", "c:/k")]


def test_a_group_puts_all_items_of_a_key_into_one_datum() -> None:
    spec = Input(group=(grouped("a"), grouped("b")))

    assert paths_of(spec, {"a": {"/k.2": "", "/k.1": "", "/j": ""}, "b": {"/k.0": ""}}) == [
        ("a:/j",),
        ("a:/k.1", "a:/k.2", "b:/k.0"),
    ]


def test_the_order_of_listing_does_not_change_a_group() -> None:
    spec = Input(group=(grouped("a"),))
    items = list(lister({"a": {"/k.1": "1", "/k.2": "2"}})(spec.group[0].pfs))  # type: ignore[arg-type]

    forth = list(datum_lists.enumerate_datums(spec, lambda *_: items, SALT))
    back = list(datum_lists.enumerate_datums(spec, lambda *_: reversed(items), SALT))

    assert forth == back


def test_leaves_of_one_repo_are_told_apart_and_equal_ones_are_one() -> None:
    spec = Input(union=(leaf("a", "/*"), leaf("a", "/"), leaf("a", "/*")))

    assert [pfs.glob for _, pfs in leaves_of(spec)] == ["/*", "/"]


# --- what a change touches -----------------------------------------------------------------------------


def test_new_gone_and_changed_items_change_their_datums_and_no_other() -> None:
    old = {"a": {"/gone": "1", "/changed": "2", "/same": "3"}}
    new = {"a": {"/new": "1", "/changed": "x", "/same": "3"}}

    changes = {
        (change.old or change.new).items[0].path: (change.old is not None, change.new is not None)  # type: ignore[union-attr]
        for change in changes_of(leaf("a"), old, new)
    }

    assert changes == {"/gone": (True, False), "/new": (False, True), "/changed": (True, True)}


def test_changes_of_a_single_input_list_nothing() -> None:
    spec = leaf("a")
    deltas = deltas_of(spec, {"a": {"/x": "1"}}, {"a": {"/x": "2"}})

    assert len(list(datum_lists.changed(spec, deltas, never, never, SALT))) == 1


def test_a_cross_lists_only_the_sides_beside_a_changed_one() -> None:
    spec = Input(cross=(leaf("a"), leaf("b")))
    old, new = {"a": {"/x": "1", "/y": "1"}, "b": {"/1": "", "/2": ""}}, {"a": {"/x": "2", "/y": "1"}}
    new["b"] = old["b"]
    listed: list[str] = []

    def items_of(pfs: PfsInput, within: Glob | None = None) -> Iterator[ItemRef]:
        listed.append(pfs.name)
        return iter(lister(new)(pfs, within))

    changes = list(datum_lists.changed(spec, deltas_of(spec, old, new), never, items_of, SALT))

    assert len(changes) == 2
    assert listed == ["b"]


def test_a_change_on_both_sides_of_a_cross_makes_each_datum_once_and_in_order() -> None:
    spec = Input(cross=(leaf("a"), leaf("b")))
    old, new = (
        {"a": {"/x": "1", "/y": "1"}, "b": {"/1": "1"}},
        {"a": {"/x": "1"}, "b": {"/1": "2", "/2": "1"}},
    )

    changes = [
        tuple(datum and "".join(item.path for item in datum.items) for datum in (change.old, change.new))
        for change in changes_of(spec, old, new)
    ]

    assert sorted(changes, key=str) == [("/x/1", "/x/1"), ("/y/1", None), (None, "/x/2")]


@pytest.mark.parametrize("kind", ["cross", "union", "join", "group"])
def test_without_a_change_nothing_is_listed(kind: str) -> None:
    spec = Input(**{kind: (joined("a", group_by="$1"), joined("b", group_by="$1"))})  # type: ignore[arg-type]

    assert list(datum_lists.changed(spec, {}, never, never, SALT)) == []


def test_a_datum_that_another_branch_of_a_union_still_makes_is_not_gone() -> None:
    """The file leaves one leaf and stays in the other: as when a label in its name is read by one glob."""
    spec = Input(union=(leaf("a", "/x*"), leaf("a", "/*y")))
    first, second = leaves_of(spec)
    stays = item_of(second[1], "/xy", "1")
    deltas = {first[0]: LeafDelta(removed={"/xy": stays}, added={})}

    def new_items(pfs: PfsInput, _within: Glob | None = None) -> list[ItemRef]:
        return [stays] if pfs.glob == "/*y" else []

    assert list(datum_lists.changed(spec, deltas, lambda *_: [stays], new_items, SALT)) == []


@pytest.mark.parametrize("kind", ["join", "group"])
def test_a_change_of_a_join_or_group_looks_its_keys_up_once_and_lists_nothing(kind: str) -> None:
    spec = Input(**{kind: tuple(leaf(repo, "/(*)", join_on="$1", group_by="$1") for repo in "ab")})  # type: ignore[arg-type]
    old, new = (
        {"a": {"/x": "1", "/y": "1"}, "b": {"/x": "1"}},
        {"a": {"/x": "2", "/y": "1"}, "b": {"/x": "1"}},
    )
    looked_up: list[tuple[str, str]] = []

    def looking(files: Files) -> ItemsOf:
        def items_of(pfs: PfsInput, within: Glob | None = None) -> Iterable[ItemRef]:
            assert within is not None, "the leaf is listed"
            looked_up.append((pfs.name, within.literal_prefix))
            return lister(files)(pfs, within)

        return items_of

    changes = list(datum_lists.changed(spec, deltas_of(spec, old, new), looking(old), looking(new), SALT))

    assert [len(change.new.items) for change in changes if change.new is not None] == [2]
    assert sorted(looked_up) == [("a", "/x"), ("b", "/x")]


def test_a_partner_that_comes_ends_the_datum_of_an_outer_side_alone() -> None:
    spec = Input(join=(joined("a", outer_join=True), joined("b")))

    changes = changes_of(spec, {"a": {"/k": "1"}}, {"a": {"/k": "1"}, "b": {"/k": "1"}})

    paths = {
        tuple(datum and tuple(item.input for item in datum.items) for datum in (change.old, change.new))
        for change in changes
    }
    assert paths == {(("a",), None), (None, ("a", "b"))}


def test_an_input_of_a_join_with_several_leaves_gives_each_file_once() -> None:
    spec = Input(join=(Input(union=(joined("a"), joined("a", "/(x)"))), joined("b")))

    assert len(paths_of(spec, {"a": {"/x": "1"}, "b": {"/x": "1"}})) == 1


def test_new_content_of_a_reference_item_runs_nothing_again() -> None:
    spec = Input(cross=(leaf("a"), leaf("table", reference=True)))

    assert (
        changes_of(spec, {"a": {"/x": ""}, "table": {"/t": "1"}}, {"a": {"/x": ""}, "table": {"/t": "2"}})
        == []
    )


# --- the law: changed == difference of both enumerations -----------------------------------------------

REPOS = ("a", "b", "c")
contents = st.dictionaries(
    st.sampled_from(("/x", "/y", "/x.1", "/x.2", "/y.1", "/xy")), st.sampled_from(("1", "2")), max_size=4
)
states = st.fixed_dictionaries({repo: contents for repo in REPOS})
pfs_inputs = st.builds(
    leaf,
    st.sampled_from(REPOS),
    st.sampled_from((STEM, "/(?)*", "/(*)", "/(x)*", "/(*)y", "/(*).*")),
    join_on=st.sampled_from(("$1", "<$1>")),
    group_by=st.sampled_from(("$1", "<$1>", "all")),
    outer_join=st.booleans(),
    reference=st.booleans(),
)


def combined(children: st.SearchStrategy[Input]) -> st.SearchStrategy[Input]:
    some = st.lists(children, min_size=1, max_size=3).map(tuple)
    kinds = st.sampled_from(("cross", "union", "join", "group"))
    return st.builds(lambda kind, c: Input(**{kind: c}), kinds, some)


def named(node: Input, name: str = "i") -> Input:
    """Name the leaves as the spec's rules want it: branches of a union may share names, others may not."""
    if node.pfs is not None:
        return replace(node, pfs=replace(node.pfs, name=name))
    kind = next(kind for kind in ("cross", "union", "join", "group") if getattr(node, kind))
    names = [name if kind == "union" else f"{name}{place}" for place in range(len(node.children))]
    renamed = tuple(named(child, its) for child, its in zip(node.children, names, strict=True))
    return Input(**{kind: renamed})  # type: ignore[arg-type]


inputs = st.recursive(pfs_inputs, combined, max_leaves=5).map(named)


def model_of(node: Input, files: Files) -> list[tuple[ItemRef, ...]]:
    """Return the rows of an input in any order, by the definition of each kind and nothing else."""
    if node.pfs is not None:
        return [(item,) for item in lister(files)(node.pfs)]
    sides = [model_of(child, files) for child in node.children]
    rows: list[tuple[ItemRef, ...]] = []
    if node.cross:
        rows = [tuple(chain.from_iterable(combination)) for combination in product(*sides)]
    elif node.union:
        rows = list(chain.from_iterable(sides))
    else:
        field = "join_on" if node.join else "group_by"
        members = [
            list(reversed({(item[:4], getattr(item, field)): (item,) for item in reversed(flat)}.values()))
            for flat in ([item for row in side for item in row] for side in sides)
        ]
        keys_ = dict.fromkeys(getattr(item, field) for side in members for (item,) in side)
        for key in keys_:
            present = [[row for row in side if getattr(row[0], field) == key] for side in members]
            if node.group:
                by_path = (sorted(side, key=lambda row: (row[0].path, row[0][:3])) for side in present)
                rows.append(tuple(item for side in by_path for (item,) in side))
            elif all(present):
                rows += (tuple(chain.from_iterable(combination)) for combination in product(*present))
            else:
                for combination in product(*(side or [()] for side in present)):
                    row = tuple(item for part in combination for item in part if item.outer_join)
                    rows += [row] if row else []
    return unique(rows)


def unique(rows: list[tuple[ItemRef, ...]]) -> list[tuple[ItemRef, ...]]:
    """Return the first of the rows at each place."""
    by_place: dict[object, tuple[ItemRef, ...]] = {}
    for row in rows:
        by_place.setdefault(tuple(item[:4] for item in row), row)
    return list(by_place.values())


@settings(max_examples=200, deadline=None)
@given(inputs, states)
def test_the_datums_of_any_nested_input_are_those_of_the_definitions(spec: Input, files: Files) -> None:
    expected = sorted(datums.datum_of(row, SALT) for row in model_of(spec, files))

    assert sorted(datum_lists.enumerate_datums(spec, lister(files), SALT)) == expected


@settings(max_examples=200, deadline=None)
@given(inputs, states, states)
def test_changes_are_the_difference_of_both_enumerations(spec: Input, old: Files, new: Files) -> None:
    before = {datum.id: datum for datum in datum_lists.enumerate_datums(spec, lister(old), SALT)}
    after = {datum.id: datum for datum in datum_lists.enumerate_datums(spec, lister(new), SALT)}
    differ = {key for key in before.keys() | after.keys() if _hash(before.get(key)) != _hash(after.get(key))}

    changes = changes_of(spec, old, new)

    expected = {(before.get(key), after.get(key)) for key in differ}
    assert len(changes) == len(differ)
    assert {(change.old, change.new) for change in changes} == expected


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example patches to the same values
)
@given(inputs, states, states)
def test_datums_that_are_spilled_and_listed_instead_of_looked_up_are_the_same(
    monkeypatch: pytest.MonkeyPatch, spec: Input, old: Files, new: Files
) -> None:
    usual = sorted(changes_of(spec, old, new), key=repr), sorted(every(spec, new))

    with monkeypatch.context() as patch:
        patch.setattr(sorted_rows.SortedRows.__init__, "__defaults__", (2,))
        patch.setattr(keyed_parts, "LOOKED_UP_KEYS", 0)
        spilled = sorted(changes_of(spec, old, new), key=repr), sorted(every(spec, new))

    assert spilled == usual


def every(spec: Input, files: Files) -> list[DatumSpec]:
    return list(datum_lists.enumerate_datums(spec, lister(files), SALT))


@settings(max_examples=100, deadline=None)
@given(inputs, states)
def test_no_datum_is_made_twice(spec: Input, files: Files) -> None:
    ids = [datum.id for datum in datum_lists.enumerate_datums(spec, lister(files), SALT)]

    assert len(ids) == len(set(ids))


def _hash(datum: DatumSpec | None) -> bytes | None:
    return datum.hash if datum is not None else None


# --- memory --------------------------------------------------------------------------------------------


@dataclass
class Long:
    """A leaf with many items that counts how it is listed."""

    size: int
    listings: int = 0
    listed: int = 0

    def items(self, pfs: PfsInput, _within: Glob | None = None) -> Iterator[ItemRef]:
        self.listings += 1
        for number in range(self.size):
            self.listed += 1
            yield ItemRef(pfs.name, pfs.repo, pfs.branch, f"/{number}", b"", 0)


@pytest.mark.parametrize("order", [("short", "long"), ("long", "short")])
def test_the_first_datums_of_a_long_cross_come_before_it_is_listed(order: tuple[str, str]) -> None:
    spec, long = Input(cross=tuple(leaf(repo) for repo in order)), Long(10**9)

    def items_of(pfs: PfsInput, within: Glob | None = None) -> Iterator[ItemRef]:
        return long.items(pfs) if pfs.repo == "long" else Long(2).items(pfs)

    next(datum_lists.enumerate_datums(spec, items_of, SALT))

    assert long.listed == 1


@pytest.mark.parametrize(("size", "listings"), [(5, 1), (6, 2)])
def test_a_side_is_kept_when_short_and_listed_again_when_long(
    size: int, listings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "HELD_VALUES", 5)
    spec, long = Input(cross=(leaf("a"), leaf("long"))), Long(size)

    def items_of(pfs: PfsInput, within: Glob | None = None) -> Iterator[ItemRef]:
        return long.items(pfs) if pfs.repo == "long" else Long(2).items(pfs)

    count = sum(1 for _ in datum_lists.enumerate_datums(spec, items_of, SALT))

    assert count == 2 * size
    assert long.listings == listings


# --- limits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sides", "fits"),
    [((3, 4), True), ((4, 4), False), ((12,), True), ((2, 2, 3), True), ((2, 2, 4), False), ((0, 100), True)],
)
def test_the_datums_of_a_cross_are_counted_before_they_are_made(
    sides: tuple[int, ...], fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datums.limits, "DATUMS", limits.Limit(12, "datums", "a small limit"))
    spec = Input(cross=tuple(leaf(f"r{number}") for number in range(len(sides))))

    def check() -> None:
        datums.check_count(spec, lambda pfs: sides[int(pfs.repo[1:])])

    if fits:
        check()
    else:
        with pytest.raises(InvalidArgument, match="the limit is 12"):
            check()


def test_a_cross_of_unions_counts_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datums.limits, "DATUMS", limits.Limit(12, "datums", "a small limit"))
    two = Input(union=(leaf("a"), leaf("b")))

    with pytest.raises(InvalidArgument, match="cross of 4 x 4 items"):
        datums.check_count(Input(cross=(two, two)), lambda _: 2)


def test_datums_that_are_counted_while_they_are_made_are_more_than_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(datums.limits, "DATUMS", limits.Limit(12, "datums", "a small limit"))
    datums.check_total(12)

    with pytest.raises(InvalidArgument, match="more than 12 datums"):
        datums.check_total(13)


def test_the_items_of_all_datums_together_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty small sides make a million datums of twenty items each."""
    monkeypatch.setattr(datums.limits, "DATUM_ITEMS", limits.Limit(40, "items", "a small limit"))

    datums.check_count(Input(cross=(leaf("a"), leaf("b"))), lambda _: 4)
    nested = Input(cross=(Input(cross=(leaf("a"), leaf("b"))), leaf("c")))
    with pytest.raises(InvalidArgument, match="48 items"):
        datums.check_count(nested, lambda pfs: 4 if pfs.repo != "c" else 1)
    with pytest.raises(InvalidArgument, match="48 items"):
        datums.check_count(
            Input(cross=(leaf("a"), leaf("b"), leaf("c"))), lambda pfs: 4 if pfs.repo != "c" else 1
        )
