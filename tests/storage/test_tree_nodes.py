"""Nodes: their bytes are those of the format document, and whatever is no node is refused."""

from __future__ import annotations

import struct

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DataLoss
from trunkline.storage.chunks import ChunkId
from trunkline.storage.nodes import Inner, Leaf, decode_node, encode_inner, encode_leaf
from trunkline.storage.sums import DATUM_TREE, EMPTY, FILE_TREE

ID = ChunkId(bytes(32))
rows = st.dictionaries(st.binary(min_size=1, max_size=9), st.binary(max_size=50), min_size=1, max_size=40)
equal_rows = st.dictionaries(
    st.binary(min_size=4, max_size=4), st.binary(min_size=36, max_size=36), min_size=1, max_size=40
)


def leaf_of(data: bytes, kind: int = DATUM_TREE) -> Leaf:
    node = decode_node(ID, data, kind, 0)
    assert isinstance(node, Leaf)
    return node


def test_a_leaf_is_laid_out_as_specified() -> None:
    data = encode_leaf(FILE_TREE, [b"ab", b"abc", b"abd"], [b"1", b"22", b""])

    assert data == (
        b"TN" b"\x02" b"\x01" b"\x00" b"\x00" b"\x02\x00" b"\x03\x00\x00\x00" b"ab"
        + struct.pack("<3H", 0, 1, 1) + struct.pack("<3I", 1, 2, 0) + b"cd" + b"122"
    )  # fmt: skip


def test_equal_lengths_are_stored_once() -> None:
    data = encode_leaf(DATUM_TREE, [b"xa", b"xb"], [b"11", b"22"])

    assert data == b"TN\x02\x03\x00\x03\x01\x00\x02\x00\x00\x00x\x01\x00\x02\x00\x00\x00ab1122"


def test_an_inner_node_is_laid_out_as_specified() -> None:
    children = [(ChunkId(bytes([n]) * 32), (n, 10 * n, 1, 2, 3, 2**64 - 1)) for n in (1, 2)]

    data = encode_inner(FILE_TREE, 1, [b"a/", b"b\0t"], children)

    assert data == (
        b"TN\x02\x01\x01\x00\x00\x00\x02\x00\x00\x00" + struct.pack("<2H", 2, 3) + b"a/b\0t"
        + b"\1" * 32 + b"\2" * 32
        + struct.pack("<12Q", 1, 2, 10, 20, 1, 1, 2, 2, 3, 3, 2**64 - 1, 2**64 - 1)
    )  # fmt: skip
    node = decode_node(ID, data, FILE_TREE, 1)
    assert isinstance(node, Inner)
    assert node.children() == children
    assert [node.sums(0), node.sums(1)] == [sums for _, sums in children]
    assert node.keys == [b"a/", b"b\0t"]


def test_other_kinds_than_file_trees_sum_up_rows_alone() -> None:
    data = encode_inner(DATUM_TREE, 2, [b"a", b"b"], [(ID, (5,)), (ID, (6,))])

    assert data == b"TN\x02\x03\x02\x01\x00\x00\x02\x00\x00\x00\x01\x00ab" + bytes(64) + struct.pack(
        "<2Q", 5, 6
    )


def test_the_empty_tree_is_the_empty_leaf_of_a_file_tree() -> None:
    head = b"TN\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00"

    assert blake3(head).digest() == EMPTY


@given(rows | equal_rows, st.binary(max_size=9), st.data())
def test_a_leaf_is_searched_and_cut_as_its_items(
    table: dict[bytes, bytes], key: bytes, data: st.DataObject
) -> None:
    keys = sorted(table)
    leaf = leaf_of(encode_leaf(DATUM_TREE, keys, [table[key] for key in keys]))
    start, stop = sorted((data.draw(st.integers(0, len(keys))), data.draw(st.integers(0, len(keys)))))

    assert leaf.find(key) == sum(1 for other in keys if other < key)
    assert leaf.keys(start, stop, b"/f/") == [b"/f/" + key for key in keys[start:stop]]
    assert leaf.values(start, stop) == [table[key] for key in keys[start:stop]]
    assert [(leaf.key(n), leaf.value(n)) for n in range(leaf.count)] == sorted(table.items())
    assert leaf.last == keys[-1]


GOOD_LEAF = encode_leaf(FILE_TREE, [b"a\0t", b"bcd\0t"], [b"x" * 36, b"y" * 72])
GOOD_INNER = encode_inner(FILE_TREE, 1, [b"a\0t", b"bcd\0t"], [(ID, (1, 2, 3, 4, 5, 6))] * 2)


@pytest.mark.parametrize("data", [GOOD_LEAF, GOOD_INNER], ids=["leaf", "inner"])
def test_a_truncated_or_extended_node_is_refused(data: bytes) -> None:
    for stop in range(len(data)):
        with pytest.raises(DataLoss, match="should be a node"):
            decode_node(ID, data[:stop], FILE_TREE)
    with pytest.raises(DataLoss, match="should be a node"):
        decode_node(ID, data + b"\0", FILE_TREE)


@pytest.mark.parametrize("data", [GOOD_LEAF, GOOD_INNER], ids=["leaf", "inner"])
def test_a_flipped_bit_of_the_head_never_escapes_as_another_error(data: bytes) -> None:
    for bit in range(8 * (12 + 24)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            node = decode_node(ID, bytes(changed), FILE_TREE)
        except DataLoss:
            continue
        assert node.count == 2


@pytest.mark.parametrize(
    ("data", "kind", "level"),
    [
        (b"TLS1" + bytes(40), FILE_TREE, None),
        (b"TN\x03" + GOOD_LEAF[3:], FILE_TREE, None),
        (GOOD_LEAF, DATUM_TREE, None),
        (GOOD_LEAF, FILE_TREE, 1),
        (GOOD_INNER, FILE_TREE, 0),
        (GOOD_INNER, FILE_TREE, 2),
        (GOOD_LEAF[:5] + b"\x04" + GOOD_LEAF[6:], FILE_TREE, None),
        (b"TN\x02\x01" + bytes(8), FILE_TREE, None),
        (b"TN\x02\x01\x00\x03\x00\x00\xff\xff\xff\xff" + bytes(60), FILE_TREE, None),
        (b"", FILE_TREE, None),
        (encode_leaf(FILE_TREE, [b"a\0t", b"b"], [b"x", b"y"]), FILE_TREE, None),
        (encode_leaf(FILE_TREE, [b"a", b"b"], [bytes(37)] * 2), FILE_TREE, None),
    ],
    ids=[
        "foreign",
        "newer",
        "kind",
        "leaf",
        "inner",
        "level",
        "flags",
        "empty",
        "huge",
        "nothing",
        "no tag",
        "no tags",
    ],
)
def test_what_is_no_node_of_the_expected_kind_is_refused(data: bytes, kind: int, level: int | None) -> None:
    with pytest.raises(DataLoss, match=ID.hex()):
        decode_node(ID, data, kind, level)
