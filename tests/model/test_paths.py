"""Canonical paths and what may be written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidArgument
from trunkline.model import paths


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("a", "/a"),
        ("/a/", "/a"),
        ("//a///b//", "/a/b"),
        ("", "/"),
        ("/", "/"),
        ("///", "/"),
        ("/a ü", "/a ü"),
    ],
)
def test_a_typed_path_is_brought_into_canonical_form(typed: str, canonical: str) -> None:
    assert paths.clean(typed) == canonical


@given(st.text(alphabet="/ab.", max_size=12))
def test_cleaning_twice_changes_nothing_more(typed: str) -> None:
    once = paths.clean(typed)

    assert paths.clean(once) == once
    assert "//" not in once
    assert once == "/" or not once.endswith("/")


@pytest.mark.parametrize(
    "path",
    [
        "/a",
        "/a/b.txt",
        "/photo (1)!@+^.jpg",
        "/…/Ünï 図.png",
        "/..a/b..",
        "/...",
        "/ ",
        "/" + "x" * 255,
        "/~$#%&'\",",
    ],
)
def test_real_file_names_are_accepted(path: str) -> None:
    paths.validate(path)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "names no file"),
        ("/", "names no file"),
        ("a", "does not start with /"),
        ("/a/", "ends with /"),
        ("/a//b", "empty element"),
        ("/./a", "element '.'"),
        ("/a/..", "element '..'"),
        ("/a*", "'*'"),
        ("/a?", "'?'"),
        ("/[a", "'['"),
        ("/a]", "']'"),
        ("/{a", "'{'"),
        ("/a}", "'}'"),
        ("/a\\b", "in globs"),
        ("/a\0b", "control character"),
        ("/a\nb", "control character"),
        ("/a\x85b", "control character"),
        ("/a\udcff", "not UTF-8"),
        ("/" + "x" * 256, "256 bytes"),
        ("/" + "ü" * 128, "256 bytes"),
        ("/" + "/".join(["x" * 99] * 41), "4,100 bytes"),
        ("/" + "/".join(["ü" * 49] * 41), "4,059 bytes"),
    ],
)
def test_an_impossible_path_is_refused_with_its_reason(path: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        paths.validate(path)

    assert caught.value.message.startswith("path (")
    assert ") invalid: " in caught.value.message
    assert reason in caught.value.message
    assert caught.value.message.isprintable()


@given(st.text(max_size=8))
def test_validation_agrees_with_the_rules_spelled_out(text: str) -> None:
    path = paths.clean(text)
    elements = path[1:].split("/")
    allowed = path != "/" and all(
        element not in ("", ".", "..")
        and not any(c in "*?[]{}\\" or ord(c) < 32 or 127 <= ord(c) < 160 for c in element)
        for element in elements
    )

    if allowed:
        paths.validate(path)
    else:
        with pytest.raises(InvalidArgument):
            paths.validate(path)


def test_parents_are_the_directories_above_root_first() -> None:
    assert paths.parents("/a/b/c") == ["/", "/a", "/a/b"]
    assert paths.parents("/a") == ["/"]
    assert paths.parents("/") == []
