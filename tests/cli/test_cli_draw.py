"""``draw pipeline``: the lines of a drawing say what is joined, it fits the width, and its flags are pachctl's."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.cli.drawing import svg
from trunkline.cli.drawing.boxes import Node, draw
from trunkline.rpc.gen import console_pb2

#: Sides of a character that lines leave from, as steps of row and column.
UP, DOWN, LEFT, RIGHT = (-1, 0), (1, 0), (0, -1), (0, 1)
SIDES = {
    "│": (UP, DOWN), "─": (LEFT, RIGHT), "╰": (UP, RIGHT), "╯": (UP, LEFT), "╭": (DOWN, RIGHT), "╮": (DOWN, LEFT),
    "├": (UP, DOWN, RIGHT), "┤": (UP, DOWN, LEFT), "┬": (LEFT, RIGHT, DOWN), "┴": (LEFT, RIGHT, UP),
    "┼": (UP, DOWN, LEFT, RIGHT), "▼": (UP,),
}  # fmt: skip


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 10))
    pairs = [(f"n{low}", f"n{high}") for high in range(count) for low in range(high)]
    edges = draw(st.lists(st.sampled_from(pairs), max_size=14, unique=True)) if pairs else []
    return [f"n{number}" for number in range(count)], edges


def nodes(names, edges):
    targets = {target for _, target in edges}
    return [Node(name, name, "running" if name in targets else "repo", name in targets) for name in names]


def boxes_of(lines):
    """Return the name in each cell of a box."""
    cells = {}
    for row, line in enumerate(lines):
        for match in re.finditer(r"│ +(n\d+) +│", line):
            for above in range(row - 1, row + 3):
                cells.update(dict.fromkeys(((above, column) for column in range(*match.span())), match[1]))
    return cells


def edges_of(drawing):
    """Follow the lines from each arrow back to the boxes that they come from."""
    lines = drawing.splitlines()
    cells = boxes_of(lines)

    def at(row, column):
        return lines[row][column : column + 1] if row < len(lines) else ""

    edges = []
    for row, line in enumerate(lines):
        for arrow in re.finditer("▼", line):
            target = cells[row + 1, arrow.start()]
            seen, waiting, sources = set(), [(row, arrow.start(), UP)], set()
            while waiting:
                place = waiting.pop()
                if place in seen:
                    continue
                seen.add(place)
                step = place[2]
                following = (place[0] + step[0], place[1] + step[1])
                if following in cells:
                    sources |= {cells[following]} if step == UP else set()
                    continue
                character, back = at(*following), (-step[0], -step[1])
                if character == "│" and step in (LEFT, RIGHT):
                    waiting.append((*following, step))  # it passes under a line of another source
                else:
                    assert back in SIDES[character], (following, character)
                    waiting += [(*following, side) for side in SIDES[character] if side != back]
            assert len(sources) == 1, f"{target} is joined to {sources}:\n{drawing}"
            edges.append((sources.pop(), target))
    return edges


@given(graphs())
def test_every_line_of_a_drawing_is_an_edge_and_every_edge_a_line(graph):
    names, edges = graph

    drawing = draw(nodes(names, edges), edges, width=300)

    assert sorted(edges_of(drawing)) == sorted(edges), drawing
    assert len(set(boxes_of(drawing.splitlines()).values())) == len(names)


@given(graphs(), st.integers(30, 80))
def test_a_drawing_never_exceeds_the_width(graph, width):
    names, edges = graph

    drawing = draw(nodes(names, edges), edges, width=width)

    assert max(map(len, drawing.splitlines())) <= width


def test_a_graph_that_is_too_wide_is_a_list_of_what_reads_what():
    edges = [(f"input-{number}", "all") for number in range(12)]

    drawing = draw(nodes([*(source for source, _ in edges), "all"], edges), edges, width=80)

    assert "all (running) ← input-0, input-1, " in drawing


GRAPH = console_pb2.Graph(
    nodes=[
        console_pb2.GraphNode(id="default/repo:images", project="default", kind="repo", name="images"),
        console_pb2.GraphNode(
            id="default/pipeline:edges", project="default", kind="pipeline", name="edges", state="RUNNING"
        ),
        console_pb2.GraphNode(
            id="default/pipeline:montage",
            project="default",
            kind="pipeline",
            name="montage",
            state="CRASHING",
        ),
        console_pb2.GraphNode(id="lab/repo:<more>", project="lab", kind="repo", name="<more>", outside=True),
    ],
    edges=[
        console_pb2.GraphEdge(**{"from": source}, to=target)
        for source, target in (
            ("default/repo:images", "default/pipeline:edges"),
            ("default/repo:images", "default/pipeline:montage"),
            ("default/pipeline:edges", "default/pipeline:montage"),
        )
    ],
)


def test_pipelines_are_drawn_with_their_states(run, server):
    server.answers["InspectGraph"] = GRAPH

    assert run("draw", "pipeline", "-q").out == (
        "    ╭─────────╮    ╭─────────────╮\n"
        "    │ images  │    │ lab/<more>  │\n"
        "    │  repo   │    │    repo     │\n"
        "    ╰─────────╯    ╰─────────────╯\n"
        "         ├────╮\n"
        "         ▼    │\n"
        "┌─────────┐   │\n"
        "│  edges  │   │\n"
        "│ running │   │\n"
        "└─────────┘   │\n"
        "     │        │\n"
        "     ▼        ▼\n"
        "   ┌───────────┐\n"
        "   │  montage  │\n"
        "   │ crashing  │\n"
        "   └───────────┘\n"
    )


def test_the_flags_of_pachctl_are_taken(run, server, tmp_path):
    server.answers["InspectGraph"] = GRAPH
    file = tmp_path / "dag.txt"
    words = ("-c", "1" * 32, "--box-width", "21", "--edge-height", "4", "-o", str(file))

    outcome = run("draw", "pipeline", "edges", *words)

    assert (outcome.code, outcome.out) == (0, "")
    assert server.only("InspectGraph").commit_set == "1" * 32
    lines = file.read_text().splitlines()
    assert lines[0] == f"{'╭' + '─' * 19 + '╮':>{len(lines[0])}}"
    assert "▼" in lines[7]


def test_a_part_of_the_graph_is_what_a_pipeline_is_made_from_and_what_is_made_from_it(run, server):
    server.answers["InspectGraph"] = GRAPH

    assert "more" not in run("draw", "pipeline", "edges").out
    assert run("draw", "pipeline", "none").code == 3


def test_an_empty_project_draws_nothing_and_says_so(run):
    outcome = run("draw", "pipeline")

    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err


@pytest.mark.parametrize("theme", svg.THEMES)
def test_svg_names_every_node_needs_nothing_from_elsewhere_and_can_be_read_aloud(run, server, theme):
    server.answers["InspectGraph"] = GRAPH

    drawing = run("draw", "pipeline", "--svg", "--theme", theme).out

    root = ElementTree.fromstring(drawing)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"images", "edges", "montage", "lab/<more>"} <= set(texts)
    assert "edges reads images; montage reads edges and images" in root[0].text
    assert not re.search(r"href|url\(|<script|@import", drawing)
    assert ("prefers-color-scheme" in drawing) == (theme == "auto")
