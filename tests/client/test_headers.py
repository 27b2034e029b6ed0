"""Header blocks that servers send, against the hpack library."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder, HPACKDecodingError
from hypothesis import given
from hypothesis import strategies as st

from trunkline.client import huffman
from trunkline.client.headers import HeaderDecoder

LIMIT = 1 << 16
names = st.sampled_from(["grpc-status", "grpc-message", "content-type", "x-a1"])
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)


@given(fields=st.lists(st.tuples(names, values), max_size=6), huffman=st.booleans())
def test_blocks_with_and_without_huffman_codes_are_decoded(fields, huffman):
    encoder = Encoder()
    encoder.header_table_size = 0
    block = encoder.encode([(":status", "200"), *fields], huffman=huffman)

    assert HeaderDecoder(LIMIT).decode(block) == [(":status", "200"), *fields]


@given(data=st.binary(max_size=12))
def test_a_string_is_decoded_or_refused_as_the_library_does(data):
    block = b"\0\x01x" + bytes([0x80 | len(data)]) + data
    try:
        [(_, value)] = Decoder().decode(block)
    except (HPACKDecodingError, UnicodeDecodeError):
        value = None

    if value is None:
        with pytest.raises(ValueError):  # noqa: PT011  the class is the contract
            huffman.decode(data)
    else:
        assert huffman.decode(data) == value


def test_the_end_of_a_string_within_it_is_refused():
    with pytest.raises(ValueError, match="end"):
        huffman.decode(b"\xff\xff\xff\xff")
