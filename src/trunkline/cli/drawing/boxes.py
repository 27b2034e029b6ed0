"""Draws a graph of repos and pipelines with the characters of boxes, from top to bottom.

Every input of a box has an arrow of its own. A line that crosses another one passes over it: only lines of one source
are joined. What does not fit the width is drawn as a list instead.
"""

from __future__ import annotations

import textwrap
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from trunkline.cli.drawing.layout import Layout, Place, Waypoint, centres, layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

GAP = 3  # characters between neighbours of a layer
LEAST_BOX, WIDEST_BOX = 11, 28  # characters, with the frame
_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
#: Characters of lines by the sides that they join.
_LINES = {
    _UP | _DOWN: "│", _LEFT | _RIGHT: "─", _UP | _RIGHT: "╰", _UP | _LEFT: "╯", _DOWN | _RIGHT: "╭",
    _DOWN | _LEFT: "╮", _UP | _DOWN | _RIGHT: "├", _UP | _DOWN | _LEFT: "┤", _LEFT | _RIGHT | _DOWN: "┬",
    _LEFT | _RIGHT | _UP: "┴", _UP | _DOWN | _LEFT | _RIGHT: "┼",
}  # fmt: skip


class Node(NamedTuple):
    """A repo or a pipeline."""

    id: str
    name: str
    #: Second line of its box: ``repo``, or the state of a pipeline.
    note: str
    is_pipeline: bool


class _Net(NamedTuple):
    """The lines from one place to those below it."""

    start: int  # column
    ends: tuple[int, ...]  # columns

    @property
    def first(self) -> int:
        return min(self.start, *self.ends)

    @property
    def last(self) -> int:
        return max(self.start, *self.ends)


def draw(
    nodes: Sequence[Node],
    edges: Sequence[tuple[str, str]],
    *,
    width: int,
    box_width: int = 0,
    edge_height: int = 0,
) -> str:
    """Return the drawing of a graph; a list when no drawing fits.

    Args:
        nodes: of the graph.
        edges: ids of the nodes that each joins; no cycle.
        width: characters of a line at most.
        box_width: characters of each box; 0: as its name needs.
        edge_height: lines between layers at least; 0: as few as possible.
    """
    blocks = [
        _block(part, links, width=width, box_width=box_width, edge_height=edge_height)
        for part, links in _components(nodes, edges)
    ]
    return "\n\n".join("\n".join(row) for row in _side_by_side(blocks, width))


def _components(
    nodes: Sequence[Node], edges: Sequence[tuple[str, str]]
) -> Iterator[tuple[list[Node], list[tuple[str, str]]]]:
    """Yield the parts of a graph that no edge joins, in the order of their first nodes."""
    beside: dict[str, list[str]] = {node.id: [] for node in nodes}
    for source, target in edges:
        beside[source].append(target)
        beside[target].append(source)
    seen: set[str] = set()
    for first in nodes:
        if first.id in seen:
            continue
        part, waiting = {first.id}, [first.id]
        while waiting:
            near = [id for id in beside[waiting.pop()] if id not in part]
            part.update(near)
            waiting += near
        seen |= part
        yield [node for node in nodes if node.id in part], [edge for edge in edges if edge[0] in part]


def _block(
    nodes: Sequence[Node],
    edges: Sequence[tuple[str, str]],
    *,
    width: int,
    box_width: int,
    edge_height: int,
) -> list[str]:
    """Return the lines of a connected graph."""
    by_id = {node.id: node for node in nodes}
    places = layout([node.id for node in nodes], edges)
    for widest in (box_width,) if box_width else (WIDEST_BOX, 20, LEAST_BOX):
        sizes = {node.id: box_width or min(widest, _needed(node)) for node in nodes}
        # An odd width has a middle; every input needs room for its arrow.
        boxes = {id: max(size, 2 * len(places.above[id]) + 3) | 1 for id, size in sizes.items()}
        at = centres(places, partial(_extent, boxes), GAP)
        if max(at[place] + _extent(boxes, place) // 2 + 1 for place in at) <= width:
            return list(_picture(places, by_id, boxes, at, edge_height))
    return as_list(nodes, edges, width=width)


def _extent(boxes: Mapping[str, int], place: Place) -> int:
    return 1 if isinstance(place, Waypoint) else boxes[place]


def _side_by_side(blocks: Sequence[list[str]], width: int) -> Iterator[list[str]]:
    """Yield blocks of lines, several beside each other where they fit."""
    row: list[str] = []
    for block in blocks:
        used = max(map(len, row), default=0)
        if row and used + GAP + max(map(len, block), default=0) <= width:
            height = max(len(row), len(block))
            padded = [*row, *[""] * (height - len(row))]
            added = [*block, *[""] * (height - len(block))]
            row = [
                f"{first:{used + GAP}}{second}".rstrip() for first, second in zip(padded, added, strict=True)
            ]
        else:
            if row:
                yield row
            row = block
    if row:
        yield row


def _needed(node: Node) -> int:
    return max(LEAST_BOX, len(node.name) + 4, len(node.note) + 4)


def _picture(
    places: Layout,
    nodes: Mapping[str, Node],
    boxes: Mapping[str, int],
    at: Mapping[Place, int],
    edge_height: int,
) -> Iterator[str]:
    width = max(at[place] + _extent(boxes, place) for place in at)
    for number, layer in enumerate(places.layers):
        yield from _boxes(layer, nodes, boxes, at, width)
        if number + 1 < len(places.layers):
            yield from _channel(places, number, boxes, at, width, edge_height)


def _boxes(
    layer: Sequence[Place],
    nodes: Mapping[str, Node],
    boxes: Mapping[str, int],
    at: Mapping[Place, int],
    width: int,
) -> Iterator[str]:
    lines = [[" "] * width for _ in range(4)]
    for place in layer:
        if isinstance(place, Waypoint):
            for line in lines:
                line[at[place]] = "│"
            continue
        node, size = nodes[place], boxes[place]
        begin, inner = at[place] - size // 2, size - 2
        top, bottom = ("┌┐", "└┘") if node.is_pipeline else ("╭╮", "╰╯")
        texts = (
            f"{top[0]}{'─' * inner}{top[1]}",
            f"│{_cut(node.name, inner - 2):^{inner}}│",
            f"│{_cut(node.note, inner - 2):^{inner}}│",
            f"{bottom[0]}{'─' * inner}{bottom[1]}",
        )
        for line, text in zip(lines, texts, strict=True):
            line[begin : begin + size] = text
    yield from ("".join(line).rstrip() for line in lines)


def _channel(
    places: Layout,
    number: int,
    boxes: Mapping[str, int],
    at: Mapping[Place, int],
    width: int,
    edge_height: int,
) -> Iterator[str]:
    """Yield the lines between a layer and the next one."""
    upper, lower = places.layers[number], places.layers[number + 1]
    starts = {place: at[place] for place in upper if places.below[place]}
    ends: dict[tuple[Place, Place], int] = {}
    for place in lower:
        ends.update(_ports(place, places, boxes, at, starts))
    nets = [
        _Net(start, tuple(sorted(ends[place, target] for target in places.below[place])))
        for place, start in starts.items()
    ]
    rows = _rows(nets)
    height = max(max(rows, default=0) + 2, 2, edge_height)
    sides = [[0] * width for _ in range(height)]
    owner: list[list[int]] = [[-1] * width for _ in range(height)]
    for index, (net, row) in enumerate(zip(nets, rows, strict=True)):
        _route(net, row, index, sides, owner)
    lines = [[_LINES.get(side, " ") for side in line] for line in sides]
    for (_, target), column in ends.items():
        lines[-1][column] = "│" if isinstance(target, Waypoint) else "▼"
    yield from ("".join(line).rstrip() for line in lines)


def _ports(
    place: Place,
    places: Layout,
    boxes: Mapping[str, int],
    at: Mapping[Place, int],
    starts: Mapping[Place, int],
) -> dict[tuple[Place, Place], int]:
    """Return the column in which each line reaches a place.

    No line ends in the column in which another source begins, where the two would run into each other.
    """
    sources = sorted(places.above[place], key=lambda source: at[source])
    if not sources or isinstance(place, Waypoint):
        return {(source, place): at[place] for source in sources}
    half = boxes[place] // 2 - 1
    columns = list(range(at[place] - half, at[place] + half + 1))
    begins = {column: source for source, column in starts.items()}
    ports: dict[tuple[Place, Place], int] = {}
    step = len(columns) / len(sources)
    last = columns[0] - 1
    for position, source in enumerate(sources):
        ideal = columns[int(step * position + step / 2)]
        following = len(sources) - position - 1
        free = [
            column
            for column in columns
            if last < column <= columns[-1] - following and begins.get(column, source) == source
        ] or [column for column in columns if last < column <= columns[-1] - following]
        straight = starts[source]
        last = (
            straight
            if straight in free and abs(straight - ideal) <= step / 2
            else min(free, key=lambda column: abs(column - ideal))
        )
        ports[source, place] = last
    return ports


def _rows(nets: Sequence[_Net]) -> list[int]:
    """Return the row of each net's horizontal line; -1 for a net that is one straight line.

    Nets that would overlap are in different rows, and a net whose line ends where another one begins is below it.
    """
    rows = [-1] * len(nets)
    waiting = [index for index, net in enumerate(nets) if net.first < net.last]
    waiting.sort(key=lambda index: (nets[index].first, nets[index].last))
    row = 0
    while waiting:
        starts = {nets[index].start: index for index in waiting}
        allowed = [
            index for index in waiting if all(starts.get(end, index) == index for end in nets[index].ends)
        ] or waiting[:1]
        filled = -2
        for index in allowed:
            if nets[index].first > filled + 1:
                rows[index], filled = row, nets[index].last
        waiting = [index for index in waiting if rows[index] < 0]
        row += 1
    return rows


def _route(net: _Net, row: int, index: int, sides: list[list[int]], owner: list[list[int]]) -> None:
    """Draw a net: down from its start, along its row, and down to its ends."""

    def add(line: int, column: int, side: int) -> None:
        if owner[line][column] in (-1, index):
            owner[line][column] = index
            sides[line][column] |= side
        elif side & (_UP | _DOWN):  # a vertical line passes over one of another net
            owner[line][column] = index
            sides[line][column] = side | (sides[line][column] & (_UP | _DOWN))

    height = len(sides)
    bend = max(row, 0)
    for line in range(bend + 1):
        add(line, net.start, _UP | (_DOWN if line < bend else 0))
    for end in net.ends:
        for line in range(bend, height):
            add(line, end, _DOWN | (_UP if line > bend else 0))
    if row >= 0:
        for column in range(net.first, net.last + 1):
            add(row, column, (_LEFT if column > net.first else 0) | (_RIGHT if column < net.last else 0))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def as_list(nodes: Sequence[Node], edges: Sequence[tuple[str, str]], *, width: int) -> list[str]:
    """Return a graph as lines of text: what each node reads, nodes after those that they read.

    Args:
        nodes: of the graph.
        edges: ids of the nodes that each joins.
        width: characters of a line.
    """
    by_id = {node.id: node for node in nodes}
    places = layout([node.id for node in nodes], edges)
    sources: dict[str, list[str]] = {node.id: [] for node in nodes}
    for source, target in edges:
        sources[target].append(by_id[source].name)
    lines = []
    for layer in places.layers:
        for place in layer:
            if isinstance(place, Waypoint):
                continue
            node = by_id[place]
            text = f"{node.name} ({node.note})" + (
                f" ← {', '.join(sorted(set(sources[place])))}" if sources[place] else ""
            )
            lines += textwrap.wrap(text, width, subsequent_indent="    ", break_on_hyphens=False)
    return lines
