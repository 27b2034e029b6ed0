"""Names, ids and references, parsed once where they enter.

``project/repo@branch^2:/path`` becomes a ``FileRef`` of a ``CommitName`` of a ``RepoName``. The ``check_…`` functions
validate the name of something that is about to be created; a lookup by a name that breaks the rules is not an error
but finds nothing. Rules and the beginnings of the messages are those of the Pachyderm API, because clients match on
them. Nothing here checks what exists: whether ``images@x`` is a branch is decided elsewhere.
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from trunkline.errors import InvalidArgument
from trunkline.model import limits, paths

DEFAULT_PROJECT = "default"
#: A virtual repo whose commits are file sets.
FILESETS_REPO = "__filesets__"
USER, META, SPEC = REPO_TYPES = ("user", "meta", "spec")
#: Types of the repos that belong to a pipeline beside its output.
SYSTEM_TYPES = (META, SPEC)

_NAME = re.compile(r"[a-zA-Z0-9_-]+", re.ASCII)
_ID = re.compile(r"[0-9a-f]{12}4[0-9a-f]{19}", re.ASCII)
_ANCESTRY = re.compile(r"[~^.].*", re.DOTALL)
_STEP = re.compile(r"([~^.])([0-9]{0,9})", re.ASCII)


def check_project(name: str) -> str:
    """Return ``name`` if it is valid for a project, else raise InvalidArgument."""
    return _check_first(_check(name, limits.PIPELINE_NAME), "project")


def check_repo(name: str) -> str:
    """Return ``name`` if it is valid for a repo, else raise InvalidArgument."""
    if name == FILESETS_REPO:
        raise InvalidArgument(f"name ({name}) invalid: it is reserved for file sets; choose another")
    return _check(name, limits.NAME)


def check_branch(name: str) -> str:
    """Return ``name`` if it is valid for a branch, else raise InvalidArgument."""
    if is_id(name):
        raise InvalidArgument(f"name ({name}) invalid: a branch cannot look like a commit id; choose another")
    return _check(name, limits.NAME)


def check_pipeline(project: str, name: str) -> str:
    """Return ``name`` if it is valid for a pipeline of ``project``, else raise InvalidArgument."""
    _check_first(_check(name, limits.PIPELINE_NAME), "pipeline")
    longest = len(f"{project}-{name}-v99")
    if longest > limits.WORKER_NAME:
        raise InvalidArgument(
            f"name ({name}) invalid: with its project it must fit {limits.WORKER_NAME} characters but "
            f'"{project}-{name}-v99" has {longest}; shorten the name of the pipeline or of the project'
        )
    return name


def check_image(name: str) -> str:
    """Return ``name`` if it is valid for an image, else raise InvalidArgument."""
    if len(name) > limits.IMAGE_NAME:
        raise InvalidArgument(
            f"image name ({name[:40]}…) invalid: it has {len(name):,} characters, {limits.IMAGE_NAME} are allowed;"
            " shorten it"
        )
    if not name.isprintable() or " " in name:
        raise InvalidArgument(
            f"image name ({_escaped(name)}) invalid: it has a space or a character that cannot be printed; write it as"
            " registries do, such as registry.example.org/team/tool:1.2"
        )
    return name


def _check(name: str, longest: int) -> str:
    if len(name) > longest:
        raise InvalidArgument(
            f"name ({name[:40]}…) invalid: it has {len(name):,} characters, {longest} are allowed; shorten it"
        )
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"name ({_escaped(name)}) invalid: only alphanumeric characters, underscores, and dashes are allowed"
        )
    return name


def _check_first(name: str, kind: str) -> str:
    if not name[0].isalnum():
        raise InvalidArgument(f"name ({name}) invalid: a {kind}'s name must start with a letter or a digit")
    return name


def _escaped(name: str) -> str:
    """Return a name escaped for a message of one line."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def is_id(text: str) -> bool:
    """Whether ``text`` is an id of a commit, commit set, job or transaction: UUIDv4 without dashes."""
    return _ID.fullmatch(text) is not None


class RepoName(Struct, frozen=True, order=True):
    """A repo. Text: ``default/images``, with ``.spec`` or ``.meta`` behind it unless it is a user's."""

    project: str
    name: str
    type: str = USER

    def __str__(self) -> str:
        suffix = "" if self.type == USER else f".{self.type}"
        return f"{self.project}/{self.name}{suffix}"


class PipelineName(Struct, frozen=True, order=True):
    """A pipeline. Text: ``default/edges``."""

    project: str
    name: str

    def __str__(self) -> str:
        return f"{self.project}/{self.name}"


class JobName(Struct, frozen=True, order=True):
    """A job: its pipeline and the id of its output commit. Text: ``default/edges@<id>``."""

    pipeline: PipelineName
    id: str

    def __str__(self) -> str:
        return f"{self.pipeline}@{self.id}"


class AncestryStep(Struct, frozen=True):
    """A step from a commit to one of its ancestors."""

    #: Number of parents to go back; with ``from_root`` the position in the history, counted from the oldest, 1.
    count: int
    from_root: bool = False

    def __str__(self) -> str:
        return f".{self.count}" if self.from_root else f"^{self.count}"


class CommitName(Struct, frozen=True):
    """A commit: by its id if that is set, otherwise by the head of a branch; then steps back from it.

    Text: ``default/images@master^2``.
    """

    repo: RepoName
    id: str = ""
    #: Beside an id it only says which branch the user meant; it selects nothing.
    branch: str = ""
    ancestry: tuple[AncestryStep, ...] = ()

    @property
    def revision(self) -> str:
        """The name within its repo."""
        return f"{self.id or self.branch}{''.join(map(str, self.ancestry))}"

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}"


class FileRef(Struct, frozen=True):
    """A file or directory of a commit."""

    commit: CommitName
    path: str

    def __str__(self) -> str:
        return f"{self.commit}:{self.path}"


def split_ancestry(text: str) -> tuple[str, tuple[AncestryStep, ...]]:
    """Split ``master^2`` into the name and its steps. ``^`` and ``~`` go back, ``.n`` counts from the root.

    >>> split_ancestry("master.3^")
    ('master', (AncestryStep(count=3, from_root=True), AncestryStep(count=1, from_root=False)))

    Raises:
        InvalidArgument: the text after the name is not valid ancestry.
    """
    suffix = _ANCESTRY.search(text)
    if suffix is None:
        return text, ()
    steps: list[AncestryStep] = []
    at = suffix.start()
    while at < len(text):
        if len(steps) == limits.ANCESTRY_STEPS:
            raise InvalidArgument(
                f'"{text[:40]}…" invalid: it has more than {limits.ANCESTRY_STEPS} steps of ancestry; write for'
                " example ^200 for two hundred parents back"
            )
        step = _STEP.match(text, at)
        if step is None:
            raise InvalidArgument(
                f'"{text}" invalid: "{text[at:]}" is not valid ancestry; write ^, ^2, ~2 or .2'
            )
        mark, digits = step.groups()
        if mark != ".":
            steps.append(AncestryStep(int(digits or 1)))
        elif steps:
            raise InvalidArgument(
                f'"{text}" invalid: .{digits} counts from the oldest commit; write it first, as in .3^1'
            )
        elif not digits or int(digits) == 0:
            raise InvalidArgument(f'"{text}" invalid: "." needs a number from 1, the oldest commit; write .1')
        else:
            steps.append(AncestryStep(int(digits), from_root=True))
        at = step.end()
    return text[: suffix.start()], tuple(steps)


def parse_repo(text: str, project: str = DEFAULT_PROJECT) -> RepoName:
    """Parse ``[project/]repo[.type]``.

    Args:
        text: the reference.
        project: the project when ``text`` names none.

    Raises:
        InvalidArgument: ``text`` does not have that form.
    """
    before, slash, name = text.rpartition("/")
    name, dot, kind = name.partition(".")
    if not name or (slash and not before) or "/" in before or (dot and kind not in REPO_TYPES):
        raise InvalidArgument(f'"{text}" is not a repo; write repo or project/repo')
    return RepoName(before or project, name, kind or USER)


def parse_revision(repo: RepoName, text: str) -> CommitName:
    """Parse ``branch-or-id[ancestry]``, which names a commit within a repo.

    Raises:
        InvalidArgument: it is not of that form.
    """
    base, steps = split_ancestry(text)
    if not base:
        raise InvalidArgument(f'"{repo}@{text}" is not a commit; write a branch or an id after the @')
    return CommitName(repo, base, "", steps) if is_id(base) else CommitName(repo, "", base, steps)


def parse_commit(text: str, project: str = DEFAULT_PROJECT) -> CommitName:
    """Parse ``[project/]repo@branch-or-id[ancestry]``; a branch may be followed by ``=id``.

    Raises:
        InvalidArgument: it is not of that form.
    """
    repo, at, revision = text.partition("@")
    if not at or not revision:
        raise InvalidArgument(f'"{text}" is not a commit; write repo@branch or repo@id')
    branch, equals, explicit = revision.partition("=")
    commit = parse_revision(parse_repo(repo, project), explicit if equals else revision)
    if not equals:
        return commit
    if not commit.id:
        raise InvalidArgument(
            f'"{text}" is not a commit: "{commit.branch}" is not a commit id; write repo@branch=id or repo@branch'
        )
    return replace(commit, branch=branch)


def parse_file(text: str, project: str = DEFAULT_PROJECT) -> FileRef:
    """Parse ``[project/]repo@branch-or-id[ancestry][:path]``; without a path it is the root.

    Raises:
        InvalidArgument: it is not of that form.
    """
    commit, _, path = text.partition(":")
    return FileRef(parse_commit(commit, project), paths.clean(path))
