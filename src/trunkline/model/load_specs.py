"""Specs of load tests, as Pachyderm 2.12 reads them: which random files to commit, and through which pipelines.

A load spec is JSON or YAML (``count``, ``modifications``, ``fileSources``, ``validator``). A graph is text with one
repo or pipeline a line: ``images:`` stands for a repo, ``edges: images`` for a pipeline that copies from its inputs.
The first repo takes the files.
"""

# ruff: noqa: RUF009  (the calls in class bodies declare fields, as dataclasses.field does)

from __future__ import annotations

from dataclasses import dataclass

from trunkline.errors import InvalidArgument
from trunkline.model import limits, spec_fields, spec_text
from trunkline.model.names import check_repo

_EXAMPLE = '{"count": 1, "modifications": [{"count": 1, "putFile": {"count": 5, "source": "random"}}], …}'
_ALL = 100  # percent

#: What a load test does that names no spec: some files of all sizes, in folders, through two pipelines.
DEFAULT_SPEC = """
count: 3
modifications:
- {count: 2, putFile: {count: 4, source: mixed}}
fileSources:
- name: mixed
  random:
    directory: {depth: {min: 0, max: 3}, run: 3}
    sizes:
    - {min: 0, max: 1000, prob: 40}
    - {min: 1000, max: 100000, prob: 40}
    - {min: 1000000, max: 4000000, prob: 20}
validator: {}
"""
DEFAULT_GRAPH = """
load-source:
load-copy: load-source
load-join: load-source, load-copy
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A range of numbers; of several, which one is taken depends on ``prob``."""

    min: int = spec_fields.count()
    max: int = spec_fields.count()
    #: Percent.
    prob: int = spec_fields.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """The folders of random files."""

    #: Folders above a file.
    depth: Size | None = spec_fields.message(lambda: Size)
    #: Files in a row that get the same folder.
    run: int = spec_fields.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomFiles:
    """Random files: their folders, sizes and names."""

    directory: Directory | None = spec_fields.message(lambda: Directory)
    sizes: tuple[Size, ...] = spec_fields.messages(lambda: Size)
    #: Whether names are numbers from 0 on, instead of random letters.
    increment_path: bool = spec_fields.flag()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """Where files of a modification come from."""

    name: str = spec_fields.text()
    random: RandomFiles | None = spec_fields.message(lambda: RandomFiles)


@dataclass(frozen=True, slots=True, kw_only=True)
class PutFile:
    """Files that one modification puts."""

    count: int = spec_fields.count()
    source: str = spec_fields.text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Modification:
    """Changes to a commit, ``count`` times."""

    count: int = spec_fields.count()
    put_file: PutFile | None = spec_fields.message(lambda: PutFile)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequency:
    """Which commits are checked: each ``count``-th, or ``prob`` percent of them; all if neither is set."""

    count: int = spec_fields.count()
    prob: int = spec_fields.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """That commits are read again and compared with what was put."""

    frequency: Frequency | None = spec_fields.message(lambda: Frequency)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """The commits of a load test."""

    count: int = spec_fields.count()
    modifications: tuple[Modification, ...] = spec_fields.messages(lambda: Modification)
    file_sources: tuple[FileSource, ...] = spec_fields.messages(lambda: FileSource)
    validator: Validator | None = spec_fields.message(lambda: Validator)

    def source(self, name: str) -> RandomFiles:
        """Return the source of a name, which exists in a checked spec."""
        return next(
            each.random for each in self.file_sources if each.name == name and each.random is not None
        )


def parse(text: str) -> LoadSpec:
    """Return a load spec, checked.

    Raises:
        InvalidArgument: it is not valid JSON or YAML, a field is unknown, of a wrong type or value, or the files
            are more than a load test may make; the message has the path to the field.
    """
    spec = spec_fields.read(LoadSpec, spec_text.parse_document(text, "the load spec", _EXAMPLE))
    for number, source in enumerate(spec.file_sources):
        _check_source(source, f"file_sources[{number}]")
    names = [source.name for source in spec.file_sources]
    files = size = 0
    _at_least(spec.count, 1, "count")
    for number, modification in enumerate(spec.modifications):
        where = f"modifications[{number}]"
        if modification.put_file is None:
            raise InvalidArgument(f"{where}.put_file is missing; write {{count: 5, source: NAME}}")
        _at_least(modification.count, 1, f"{where}.count")
        _at_least(modification.put_file.count, 1, f"{where}.put_file.count")
        if names.count(modification.put_file.source) != 1:
            raise InvalidArgument(
                f'{where}.put_file.source is "{modification.put_file.source}", which is the name of'
                f" {names.count(modification.put_file.source)} of the file_sources; name one that exists once"
            )
        number_of_files = spec.count * modification.count * modification.put_file.count
        files += number_of_files
        size += number_of_files * max(each.max for each in spec.source(modification.put_file.source).sizes)
    limits.check_count(files, limits.LOAD_TEST_FILES, "the load test", "lower its counts")
    limits.check_count(size, limits.LOAD_TEST_BYTES, "the load test", "lower its counts or sizes")
    if spec.validator is not None and spec.validator.frequency is not None:
        frequency = spec.validator.frequency
        _at_least(frequency.count, 0, "validator.frequency.count")
        _percent(frequency.prob, "validator.frequency.prob")
    return spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A repo of a graph, or a pipeline."""

    name: str
    #: Names of the repos and pipelines that it copies from; none for a repo.
    inputs: tuple[str, ...]


def parse_graph(text: str) -> list[Node]:
    """Return the repos and pipelines of a graph, inputs first.

    Raises:
        InvalidArgument: a line is not of the form ``NAME:`` or ``NAME: INPUT, INPUT``, a name is given twice or an
            input is not in a line above; or all lines are pipelines, or they are too many.
    """
    nodes: dict[str, Node] = {}
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    limits.check_count(len(lines), limits.LOAD_TEST_NODES, "the graph of the load test", "leave lines out")
    for number, line in lines:
        name, colon, rest = line.partition(":")
        inputs = tuple(each.strip() for each in rest.split(",")) if rest.strip() else ()
        place = f'line {number} of the graph, "{line[:80]}",'
        if not colon:
            raise InvalidArgument(f"{place} has no colon; write NAME: for a repo, NAME: INPUT for a pipeline")
        check_repo(name)
        if name in nodes:
            raise InvalidArgument(f'{place} defines "{name}" again; give it another name')
        absent = [each for each in inputs if each not in nodes]
        if absent:
            raise InvalidArgument(
                f'{place} has the input "{absent[0]}", which no line above defines; define it first'
            )
        nodes[name] = Node(name=name, inputs=inputs)
    if all(node.inputs for node in nodes.values()):
        raise InvalidArgument("the graph of the load test lacks a repo; write a line with NAME: alone")
    return list(nodes.values())


def _check_source(source: FileSource, where: str) -> None:
    if not source.name:
        raise InvalidArgument(f"{where}.name is missing; modifications name their source")
    if source.random is None or not source.random.sizes:
        raise InvalidArgument(
            f"{where}.random.sizes is missing; write a list of {{min: 0, max: 1000, prob: 100}}"
        )
    for number, size in enumerate(source.random.sizes):
        _check_size(size, f"{where}.random.sizes[{number}]")
        _percent(size.prob, f"{where}.random.sizes[{number}].prob")
    total = sum(size.prob for size in source.random.sizes)
    if total != _ALL:
        raise InvalidArgument(f"{where}.random.sizes have {total} as the sum of prob; make it 100")
    directory = source.random.directory
    if directory is not None:
        _at_least(directory.run, 0, f"{where}.random.directory.run")
        if directory.depth is not None:
            depth = f"{where}.random.directory.depth"
            _check_size(directory.depth, depth)
            limits.check_count(directory.depth.max, limits.LOAD_TEST_DEPTH, f"{depth}.max", "lower it")


def _check_size(size: Size, where: str) -> None:
    _at_least(size.min, 0, f"{where}.min")
    _at_least(size.max, size.min, f"{where}.max")


def _at_least(value: int, least: int, where: str) -> None:
    if value < least:
        raise InvalidArgument(f"{where} is {value}; set it to at least {least}")


def _percent(value: int, where: str) -> None:
    if not 0 <= value <= _ALL:
        raise InvalidArgument(f"{where} is {value}; set it to a percentage from 0 to {_ALL}")
