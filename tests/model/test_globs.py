"""Globs against a brute-force reference that builds the set of all matching paths."""

from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trunkline.errors import InvalidArgument
from trunkline.model.globs import compile_glob

# --- the reference: a pattern is the set of texts it matches, over a small alphabet --------------------

ALPHABET = "ab/"
LONGEST = 5
ALL = frozenset("".join(t) for n in range(LONGEST + 1) for t in product(ALPHABET, repeat=n))
WITHIN = frozenset(t for t in ALL if "/" not in t)


def concatenated(left: frozenset[str], right: frozenset[str]) -> frozenset[str]:
    return frozenset(a + b for a in left for b in right if len(a) + len(b) <= LONGEST)


def repeated(language: frozenset[str]) -> frozenset[str]:
    reached: frozenset[str] = frozenset([""])
    while (more := reached | concatenated(reached, language)) != reached:
        reached = more
    return reached


type_of_pattern = tuple[str, frozenset[str]]

letters = st.sampled_from(["a", "b", "/", "\\a"]).map(lambda c: (c, frozenset([c[-1]])))
wildcards = st.sampled_from(
    [
        ("?", frozenset("ab")),
        ("*", WITHIN),
        ("**", ALL),
        ("[a]", frozenset("a")),
        ("[!a]", frozenset("b")),
        ("[a-b]", frozenset("ab")),
    ]
)


def sequences(parts: st.SearchStrategy[type_of_pattern]) -> st.SearchStrategy[type_of_pattern]:
    def join(items: list[type_of_pattern]) -> type_of_pattern:
        text, language = "", frozenset([""])
        for part_text, part_language in items:
            # A star before a parenthesis would change its meaning, slashes in a row are one.
            if (text.endswith(("*", "?")) and part_text[0] in "(*") or "//" in text + part_text:
                continue
            text, language = text + part_text, concatenated(language, part_language)
        return text, language

    return st.lists(parts, max_size=4).map(join)


def groups(inner: st.SearchStrategy[type_of_pattern]) -> st.SearchStrategy[type_of_pattern]:
    def build(kind: str, alternatives: list[type_of_pattern]) -> type_of_pattern:
        texts = [text for text, _ in alternatives]
        either = frozenset().union(*(language for _, language in alternatives))
        match kind:
            case "{":
                return "{" + ",".join(texts) + "}", either
            case "@" | "":
                return kind + "(" + "|".join(texts) + ")", either
            case "?":
                language = either | {""}
            case "*":
                language = repeated(either)
            case "+":
                language = concatenated(either, repeated(either))
            case _:
                language = WITHIN - either
        return kind + "(" + "|".join(texts) + ")", language

    kinds = st.sampled_from(["{", "@", "", "?", "*", "+", "!"])
    single = st.tuples(kinds, st.lists(sequences(inner), min_size=1, max_size=2))
    return st.one_of(letters, wildcards, single.map(lambda t: build(*t)))


patterns = sequences(st.recursive(st.one_of(letters, wildcards), groups, max_leaves=5))
# One character short of the longest, so that the references' cut at LONGEST never shows.
PATHS = sorted(
    f"/{text}"
    for text in ALL
    if 0 < len(text) < LONGEST and not text.startswith("/") and not text.endswith("/") and "//" not in text
)


@settings(max_examples=300)
@given(patterns)
@example(("**a*b", concatenated(ALL, concatenated(frozenset("a"), concatenated(WITHIN, frozenset("b"))))))
def test_a_glob_matches_exactly_its_language(pattern: type_of_pattern) -> None:
    text, language = pattern
    glob = compile_glob("/" + text + "b")

    matched = {path for path in PATHS if glob.matches(path)}

    # The pattern's own leading slash joins one that follows it.
    language = concatenated(language, frozenset("b"))
    expected = {path for path in PATHS if path[1:] in language or (text.startswith("/") and path in language)}
    assert matched == expected


@given(patterns)
def test_every_match_ends_with_the_literal_end(pattern: type_of_pattern) -> None:
    glob = compile_glob("/" + pattern[0])

    assert all(path.endswith(glob.literal_end) for path in PATHS if glob.matches(path))


@given(patterns)
def test_both_engines_agree_and_captures_are_parts_of_the_path(pattern: type_of_pattern) -> None:
    plain = compile_glob("/" + pattern[0] + "b")
    # A group that excludes what is never there forces the exact engine.
    exact = compile_glob("/" + pattern[0] + "b@(!(?*))")

    for path in PATHS:
        assert plain.matches(path) == exact.matches(path)
        captures = plain.captures(path)
        assert (captures is not None) == plain.matches(path)
        assert captures is None or (len(captures) == plain.groups and all(c in path for c in captures))
        assert not plain.matches(path) or path.startswith(plain.literal_prefix)


# --- by example -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("/", ["/"], ["/a", "/a/b"]),
        ("/*", ["/a", "/a b"], ["/", "/a/b"]),
        ("*", ["/a"], ["/", "/a/b"]),
        ("/**", ["/a", "/a/b/c"], ["/"]),
        ("/dir/", ["/dir"], ["/dir/a", "/"]),
        ("//dir//*", ["/dir/a"], ["/a"]),
        ("/**.png", ["/a.png", "/x/y.png"], ["/a.pngx"]),
        ("/**/*.png", ["/x/y.png", "/x/y/z.png"], ["/a.png"]),
        ("/*.{jpg,png}", ["/a.jpg", "/a.png"], ["/a.gif", "/x/a.png"]),
        ("{/a,/b}/*", ["/a/x", "/b/x"], ["/c/x"]),
        ("/!(*.txt)", ["/a.png", "/atxt"], ["/a.txt", "/x/a.txt"]),
        ("/a!(b|c)d", ["/ad", "/axd", "/abbd"], ["/abd", "/acd", "/a/d"]),
        ("/+([0-9]).csv", ["/1.csv", "/2024.csv"], ["/.csv", "/1a.csv"]),
        ("/?(a)*b*(z)", ["/ab", "/bz"], ["/a"]),
        ("/?(old-)data", ["/data", "/old-data"], ["/old-old-data"]),
        ("/[!a-c]*", ["/d", "/dx"], ["/a", "/bx"]),
        ("/[a-]", ["/a", "/-"], ["/b"]),
        ("/photo \\(1\\).jpg", ["/photo (1).jpg"], ["/photo 1.jpg"]),
        ("/a!@+b^", ["/a!@+b^"], ["/ab"]),
        ("/[!x]a", ["/ya"], ["/xa", "/a"]),
        ("/図?", ["/図1", "/図ü"], ["/図"]),
    ],
)
def test_the_language_of_the_reference(pattern: str, matching: list[str], other: list[str]) -> None:
    glob = compile_glob(pattern)

    assert [path for path in matching if not glob.matches(path)] == []
    assert [path for path in other if glob.matches(path)] == []


@pytest.mark.parametrize(
    ("pattern", "end"),
    [
        ("/", "/"),
        ("/a/b.txt", "/a/b.txt"),
        ("/*/", ""),
        ("/*.png", ".png"),
        ("/a/**/b", "/b"),
        ("/{a,b}", ""),
        ("/*\\*", "*"),
    ],
)
def test_the_literal_end_is_what_comes_after_the_last_wildcard(pattern: str, end: str) -> None:
    assert compile_glob(pattern).literal_end == end


@pytest.mark.parametrize(
    ("pattern", "prefix", "literal"),
    [
        ("/", "/", True),
        ("/a/b.txt", "/a/b.txt", True),
        ("/a\\*b/", "/a*b", True),
        ("/a/*", "/a/", False),
        ("/img_*.png", "/img_", False),
        ("*", "/", False),
        ("{/a,/b}", "/", False),
    ],
)
def test_the_literal_prefix_narrows_the_search(pattern: str, prefix: str, literal: bool) -> None:
    glob = compile_glob(pattern)

    assert (glob.literal_prefix, glob.is_literal) == (prefix, literal)


@pytest.mark.parametrize(
    ("pattern", "path", "captures"),
    [
        ("/(*).(*)", "/photo.tar.gz", ["photo.tar", "gz"]),
        ("/(*)-(*)/@(a|b(c))", "/x-y/bc", ["x", "y", "bc", "c"]),
        ("/(*)-(*)/@(a|b(c))", "/x-y/a", ["x", "y", "a", ""]),
        ("/+(?)x", "/abx", ["ab"]),
        ("/*(a|b(?))", "/abcabd", ["abcabd", "d"]),
        ("/!(a)b", "/cb", ["c"]),
        ("/{a,(*)}", "/zz", ["zz"]),
        ("/*", "/a", []),
        ("/(a)", "/b", None),
        ("/", "/", []),
    ],
)
def test_parentheses_capture_what_they_matched(pattern: str, path: str, captures: list[str] | None) -> None:
    assert compile_glob(pattern).captures(path) == captures


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "it is empty"),
        ("/[a", 'glob "/[a" invalid: bracket opened at character 2 is never closed'),
        ("/{a,b", "brace opened at character 2 is never closed"),
        ("/a@(b|", "parenthesis opened at character 4 is never closed"),
        ("/a)b", ") at character 3 closes nothing"),
        ("/a}", "} at character 3 closes nothing"),
        ("/a]", "] at character 3 closes nothing"),
        ("/[]", "bracket at character 2 is empty"),
        ("/[z-a]", "range z-a in the bracket at character 2 runs backwards; write a-z"),
        ("/[a/b]", "bracket at character 2 holds a /"),
        ("/a\\", "backslash at character 3 escapes nothing"),
        ("/[a\\", "backslash at character 4 escapes nothing"),
        ("/" + "a" * 1000, "1,001 characters, 1,000 are allowed"),
        ("(" * 11 + ")" * 11, "group opened at character 11 is nested deeper than 10"),
    ],
)
def test_a_wrong_glob_is_refused_with_its_position(pattern: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        compile_glob(pattern)

    assert message in caught.value.message
    assert caught.value.message.startswith("glob ")


@settings(max_examples=500)
@given(st.text(alphabet="ab/*?[]{}()!@+|,\\-^", max_size=20))
@example("\\/")
@example("a/\\//")
@example("a\\\\/")
def test_any_text_either_compiles_or_is_refused_politely(text: str) -> None:
    try:
        glob = compile_glob(text)
    except InvalidArgument:
        return

    glob.matches("/a/b")
    glob.captures("/ab")
    again = compile_glob(glob.pattern)
    assert again.pattern == glob.pattern
    assert [again.matches(p) for p in PATHS] == [glob.matches(p) for p in PATHS]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "pattern",
    [
        "/" + "*a" * 450 + "b",
        "/" + "**a*b" * 180 + "c",
        "*(" * 10 + "a*" + ")" * 10 + "b",
        "/" + "{a,aa}" * 150,
        "/" + "{*a}" * 100 + "b",
        "/*(a|aa|*)" * 90,
        "/*(*(*(*(?)X|a)X|a)X|a)z",  # took the third power of the path's length and more
        "!(" * 8 + "*a" + ")" * 8 + "b",
    ],
)
def test_a_hostile_pattern_ends(pattern: str) -> None:
    glob = compile_glob(pattern)

    assert not glob.matches("/" + "a" * 250 + "/" + "a" * 250)


def test_a_search_that_takes_too_many_steps_is_given_up() -> None:
    glob = compile_glob("/!(q)*(*(*(*(**)X|?)X|?)X|?)z")

    with pytest.raises(InvalidArgument, match="steps"):
        glob.matches("/" + "/".join(["a" * 250] * 12))


@pytest.mark.parametrize("pattern", ["/" + "!(a)" * 9, "/!(a)" + "*(a)" * 8, "/" + "!(!(!(!(a))))*" * 70])
def test_a_pattern_with_too_many_searches_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidArgument, match="8 are allowed"):
        compile_glob(pattern)
