"""Keys: what templates make of captures, and globs for the paths of one key."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trunkline.errors import InvalidArgument
from trunkline.model import limits
from trunkline.model.glob_keys import Keys
from trunkline.model.glob_syntax import parse, text_of
from trunkline.model.globs import compile_glob

#: Parts of patterns, simple and not, over a few characters, so that they often match.
parts = st.sampled_from(
    ["a", "-", "?", "*", "**", "/", "(*)", "(a)", "(**)", "([ab])", "[!b]", "{a,b*}", "(a|b*)", "?(a)", "+(a|-)",
     "((*)-*)", "!(b)", "\\*", "(*-*)"]
)  # fmt: skip
patterns = st.lists(parts, min_size=1, max_size=5).map(lambda texts: "/" + "".join(texts))
paths = st.text("ab-*/", min_size=1, max_size=7).map(lambda text: "/" + text.strip("/"))


def valid(pattern: str) -> bool:
    try:
        compile_glob(pattern)
    except InvalidArgument:
        return False
    return True


def test_captures_fill_a_template() -> None:
    assert Keys(compile_glob("/(*)-(*).txt"), "$2/${1}0 $$ $0").of("/a-b.txt") == "b/a0 $ /a-b.txt"


def test_a_template_cannot_name_a_capture_that_does_not_exist() -> None:
    with pytest.raises(InvalidArgument):
        Keys(compile_glob("/(*)"), "$2")


@settings(max_examples=50)
@given(patterns.filter(valid), paths)
def test_the_fast_captures_are_those_of_the_exact_engine(pattern: str, path: str) -> None:
    glob = compile_glob(pattern)
    assume("//" not in path and glob.matches(path))
    captures = glob.captures(path)
    assert captures is not None

    for number, text in enumerate((path, *captures)):
        assert Keys(glob, f"<${number}>").of(path) == f"<{text}>"


@settings(max_examples=50)
@given(patterns.filter(valid), paths)
def test_the_glob_for_a_key_matches_every_path_with_that_key(pattern: str, path: str) -> None:
    glob = compile_glob(pattern)
    assume("//" not in path and glob.matches(path))

    for number in range(glob.groups + 1):
        keys = Keys(glob, f"x${number}")
        globs = keys.globs_for([keys.of(path), "other"])
        assert globs is None or globs[0][1].matches(path)
        assert globs is None or len(globs) == 1


@given(patterns.filter(valid))
def test_a_syntax_tree_has_a_text_with_the_same_tree(pattern: str) -> None:
    parsed = parse(pattern)

    again = parse(text_of(parsed.sequence))

    assert (again.sequence, again.groups) == (parsed.sequence, parsed.groups)


def test_the_glob_for_a_key_matches_few_other_paths() -> None:
    globs = Keys(compile_glob("/*/(*).csv"), "$1").globs_for(["sun*day"])

    assert globs is not None
    assert globs[0][1].matches("/a/sun*day.csv")
    assert not globs[0][1].matches("/a/sunday.csv")


@pytest.mark.parametrize("template", ["$1-$1", "x", "$2"])
def test_a_template_that_is_not_made_of_one_group_has_no_globs(template: str) -> None:
    assert Keys(compile_glob("/@((*)|b)"), template).globs_for(["a"]) is None


def test_a_key_that_is_longer_than_a_glob_may_be_has_no_glob() -> None:
    assert Keys(compile_glob("/(*)"), "$1").globs_for(["a" * limits.GLOB]) is None
