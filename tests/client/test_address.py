"""Addresses as people write them."""

from __future__ import annotations

import pytest

from trunkline import errors
from trunkline.client.address import Address, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:1234", Address("localhost", 1234)),
        ("grpc://10.0.0.1:30650", Address("10.0.0.1", 30650, tls=False)),
        ("grpcs://lab.example.org:443", Address("lab.example.org", 443, tls=True)),
        ("https://lab.example.org", Address("lab.example.org", 30650, tls=True)),
        ("http://example.org:80/", Address("example.org", 80, tls=False)),
        ("example.org", Address("example.org", 30650)),
        ("[::1]:99", Address("::1", 99)),
        ("grpcs://[::1]", Address("::1", 30650, tls=True)),
        (":99", Address("localhost", 99)),
        ("unix:/run/trunkline.sock", Address(tls=False, path="/run/trunkline.sock")),
        ("unix:///run/trunkline.sock", Address(tls=False, path="/run/trunkline.sock")),
        ("unix:here.sock", Address(tls=False, path="here.sock")),
    ],
)
def test_an_address_is_read_in_its_usual_spellings(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text", ["ftp://x:1", "", "x:0", "x:70000", "x:y", "a/b:1", "u@h:1", "unix:", "unix:///", "unix:a\0b"]
)
def test_an_address_that_cannot_be_used_is_refused(text):
    with pytest.raises(errors.InvalidArgument, match="address"):
        parse(text)


@pytest.mark.parametrize("text", ["[::1]:99", "10.0.0.1:30650", "unix:/run/t.sock"])
def test_an_address_is_written_as_it_is_read(text):
    assert str(parse(text)) == text
