"""Specs of load tests: what they mean, and how mistakes in them are named."""

from __future__ import annotations

import pytest

from trunkline.errors import InvalidArgument
from trunkline.model import limits, load_specs

SPEC = """
count: 5
modifications:
  - count: 5
    putFile: {count: 5, source: "random"}
fileSources:
  - name: "random"
    random:
      directory: {depth: {min: 0, max: 3}, run: 3}
      sizes:
        - {min: 1000, max: 10000, prob: 30}
        - {min: 10000, max: 100000, prob: 70}
validator:
  frequency: {count: 1}
"""


def test_a_spec_of_pachyderm_is_read() -> None:
    spec = load_specs.parse(SPEC)

    assert spec.count == 5
    assert spec.modifications[0].put_file == load_specs.PutFile(count=5, source="random")
    assert [size.prob for size in spec.source("random").sizes] == [30, 70]
    assert spec.validator is not None
    assert spec.validator.frequency == load_specs.Frequency(count=1)


def test_the_default_spec_and_graph_are_valid() -> None:
    assert load_specs.parse(load_specs.DEFAULT_SPEC).validator == load_specs.Validator()
    assert [node.name for node in load_specs.parse_graph(load_specs.DEFAULT_GRAPH)][-1] == "load-join"


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ("fileSources", "fileSource", "fileSource"),
        ("putFile", "deleteFile", "modifications[0].deleteFile"),
        ("count: 5\nmod", "count: 0\nmod", "count"),
        ("count: 5\n    put", "count: many\n    put", "modifications[0].count"),
        ('source: "random"', 'source: "other"', "modifications[0].put_file.source"),
        ("prob: 30", "prob: 31", "file_sources[0].random.sizes"),
        ("prob: 30", "prob: 130", "file_sources[0].random.sizes[0].prob"),
        ("min: 1000,", "min: 20000,", "file_sources[0].random.sizes[0].max"),
        ("max: 3", "max: 300", "file_sources[0].random.directory.depth.max"),
        ("{count: 1}", "{count: -1}", "validator.frequency.count"),
        ("count: 5\nmod", f"count: {limits.LOAD_TEST_FILES}\nmod", "the load test"),
        ("max: 100000,", "max: 10000000000,", "the load test"),
        ("count: 5\nmod", "count: [\nmod", "the load spec"),
    ],
)
def test_a_mistake_in_a_spec_names_its_place(before: str, after: str, place: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        load_specs.parse(SPEC.replace(before, after, 1))

    assert place in caught.value.message


def test_a_graph_lists_inputs_before_what_reads_them() -> None:
    nodes = load_specs.parse_graph("\na:\nb: a\n\n  c: a, b\n")

    assert [(node.name, node.inputs) for node in nodes] == [("a", ()), ("b", ("a",)), ("c", ("a", "b"))]


@pytest.mark.parametrize(
    ("graph", "place"),
    [
        ("", "lacks a repo"),
        ("a", "line 1"),
        ("a:\nb: c", "line 2"),
        ("a:\na: a", "line 2"),
        ("a b:", "a b"),
        ("\n".join(f"r{number}:" for number in range(limits.LOAD_TEST_NODES + 1)), "graph"),
    ],
)
def test_a_mistake_in_a_graph_names_its_line(graph: str, place: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        load_specs.parse_graph(graph)

    assert place in caught.value.message
