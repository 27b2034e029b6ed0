"""Names, ids and references."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidArgument
from trunkline.model import names
from trunkline.model.names import AncestryStep, CommitName, FileRef, PipelineName, RepoName

ID = "0123456789ab4def0123456789abcdef"
IMAGES = RepoName("default", "images")


@pytest.mark.parametrize("name", ["images", "a", "A-b_9", "_x", "-x", "x" * 128])
def test_a_good_name_is_returned(name: str) -> None:
    assert names.check_repo(name) == name
    assert names.check_branch(name) == name


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a/b", "ü", "a\n", "a@b", "٣"])
def test_a_name_with_other_characters_is_refused_in_the_words_clients_know(name: str) -> None:
    for check in (names.check_repo, names.check_branch, names.check_project):
        with pytest.raises(InvalidArgument) as caught:
            check(name)

        escaped = name.replace("\n", "\\n")
        assert caught.value.message == (
            f"name ({escaped}) invalid: only alphanumeric characters, underscores, and dashes are allowed"
        )


@pytest.mark.parametrize("name", ["-a", "_a"])
def test_projects_and_pipelines_start_with_a_letter_or_digit(name: str) -> None:
    with pytest.raises(InvalidArgument, match="a project's name must start with a letter or a digit"):
        names.check_project(name)
    with pytest.raises(InvalidArgument, match="a pipeline's name must start with a letter or a digit"):
        names.check_pipeline("default", name)


def test_names_have_lengths_that_fit_what_is_made_of_them() -> None:
    assert names.check_project("p" * 51)
    assert names.check_pipeline("default", "p" * 51)
    with pytest.raises(InvalidArgument, match="it has 52 characters, 51 are allowed"):
        names.check_project("p" * 52)
    with pytest.raises(InvalidArgument, match="it has 52 characters, 51 are allowed"):
        names.check_pipeline("default", "p" * 52)
    with pytest.raises(InvalidArgument, match="it has 129 characters, 128 are allowed"):
        names.check_repo("r" * 129)
    with pytest.raises(InvalidArgument, match=r'must fit 63 characters but "p{40}-q{19}-v99" has 64'):
        names.check_pipeline("p" * 40, "q" * 19)


def test_a_branch_cannot_look_like_an_id_nor_a_repo_take_the_file_sets_name() -> None:
    with pytest.raises(InvalidArgument, match="cannot look like a commit id"):
        names.check_branch(ID)
    with pytest.raises(InvalidArgument, match="reserved for file sets"):
        names.check_repo("__filesets__")


@pytest.mark.parametrize("text", ["", ID[:-1], ID + "0", ID.upper(), "0" * 32, ID + "\n", "master"])
def test_what_is_no_id_is_not_taken_for_one(text: str) -> None:
    assert not names.is_id(text)


def test_names_have_the_form_that_messages_show() -> None:
    assert str(IMAGES) == "default/images"
    assert str(RepoName("p", "edges", "spec")) == "p/edges.spec"
    assert str(PipelineName("default", "edges")) == "default/edges"
    assert str(CommitName(IMAGES, id=ID)) == f"default/images@{ID}"
    assert str(CommitName(IMAGES, "", "master", (AncestryStep(3, from_root=True), AncestryStep(1)))) == (
        "default/images@master.3^1"
    )


@pytest.mark.parametrize(
    ("text", "base", "steps"),
    [
        ("master", "master", ()),
        ("master^", "master", (AncestryStep(1),)),
        ("master^2", "master", (AncestryStep(2),)),
        ("master^^", "master", (AncestryStep(1), AncestryStep(1))),
        ("master~3^", "master", (AncestryStep(3), AncestryStep(1))),
        ("master.3^1", "master", (AncestryStep(3, from_root=True), AncestryStep(1))),
        (ID + "^0", ID, (AncestryStep(0),)),
        ("", "", ()),
        ("^1", "", (AncestryStep(1),)),
    ],
)
def test_ancestry_is_split_from_a_name(text: str, base: str, steps: tuple[AncestryStep, ...]) -> None:
    assert names.split_ancestry(text) == (base, steps)


@pytest.mark.parametrize(
    "text", ["master^x", "master^1x", "master.", "master.0", "master^1.2", "m^9999999999"]
)
def test_what_is_no_ancestry_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="write"):
        names.split_ancestry(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("images@master", FileRef(CommitName(IMAGES, branch="master"), "/")),
        ("images@master:/a/b", FileRef(CommitName(IMAGES, branch="master"), "/a/b")),
        ("images@master:a:b/", FileRef(CommitName(IMAGES, branch="master"), "/a:b")),
        (f"p/images@{ID}:/x@y", FileRef(CommitName(RepoName("p", "images"), id=ID), "/x@y")),
        (f"images@master={ID}", FileRef(CommitName(IMAGES, ID, "master"), "/")),
        ("p/e.spec@b~2:/", FileRef(CommitName(RepoName("p", "e", "spec"), "", "b", (AncestryStep(2),)), "/")),
    ],
)
def test_a_reference_to_a_file_is_parsed(text: str, expected: FileRef) -> None:
    assert names.parse_file(text) == expected


def test_the_default_project_is_the_callers_choice() -> None:
    assert names.parse_repo("images", "mine") == RepoName("mine", "images")
    assert names.parse_repo("yours/images", "mine") == RepoName("yours", "images")


@pytest.mark.parametrize("text", ["", "/", "a/", "/a", "a/b/c", "a.b", "images.", ".spec"])
def test_what_is_no_repo_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="write repo or project/repo"):
        names.parse_repo(text)


@pytest.mark.parametrize("text", ["images", "images@", "images@^1", "images@master=x", "@master"])
def test_what_is_no_commit_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="write"):
        names.parse_commit(text)


words = st.from_regex(r"[a-zA-Z0-9_-]{1,8}", fullmatch=True)
steps = st.builds(AncestryStep, st.integers(0, 99))


@given(
    words,
    words,
    st.sampled_from(names.REPO_TYPES),
    words,
    st.lists(steps, max_size=3),
    st.sampled_from(["/", "/a/b"]),
)
def test_parsing_what_was_printed_gives_the_same_reference(
    project: str, repo: str, kind: str, branch: str, back: list[AncestryStep], path: str
) -> None:
    reference = FileRef(CommitName(RepoName(project, repo, kind), "", branch, tuple(back)), path)

    assert names.parse_file(str(reference), "elsewhere") == reference


def test_a_revision_names_a_commit_of_a_repo_by_its_id_or_by_a_branch() -> None:
    assert names.parse_revision(IMAGES, ID) == CommitName(IMAGES, id=ID)
    assert names.parse_revision(IMAGES, "master") == CommitName(IMAGES, branch="master")
    assert names.parse_revision(IMAGES, f"{ID}~2").revision == f"{ID}^2"


@pytest.mark.parametrize("text", ["", "^1", ".3"])
def test_a_revision_without_id_and_branch_is_not_valid(text: str) -> None:
    with pytest.raises(InvalidArgument, match="write a branch or an id"):
        names.parse_revision(IMAGES, text)
