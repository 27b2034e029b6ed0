"""Draws a graph of repos and pipelines as SVG, from left to right, in light and dark colours.

One file without scripts, fonts or other outside resources. ``auto`` follows the reader's system; a page with a switch
of its own takes one file of each theme.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

from trunkline.cli.drawing.layout import Layout, Place, Waypoint, centres, layout
from trunkline.cli.state_colours import ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trunkline.cli.drawing.boxes import Node

THEMES = ("auto", "light", "dark")
# Pixels.
BOX, GAP, BETWEEN, MARGIN = 52, 22, 64, 8
LEAST_WIDTH, WIDEST = 112, 260
CHARACTER = 8.0  # width of a character of a name, at most about this in the usual fonts
TIP = 7  # length of an arrow's tip
_FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"


class _Colours(NamedTuple):
    text: str
    line: str
    repo: str
    pipeline: str
    good: str
    active: str
    wait: str
    bad: str
    neutral: str


# Those of the console (console/src/lib/tokens.ts).
_LIGHT = _Colours(
    text="#1A1F27", line="#7A8494", repo="#F6F7F9", pipeline="#FFFFFF",
    good="#005640", active="#104CEF", wait="#845902", bad="#901217", neutral="#5A6370",
)  # fmt: skip
_DARK = _Colours(
    text="#E6EAF0", line="#7F8A9B", repo="#191D24", pipeline="#12151A",
    good="#4FD2B1", active="#559AEC", wait="#EAB35D", bad="#F86965", neutral="#919BA9",
)  # fmt: skip


def draw(nodes: Sequence[Node], edges: Sequence[tuple[str, str]], *, theme: str = "auto") -> str:
    """Return a graph as an SVG document.

    Args:
        nodes: of the graph.
        edges: ids of the nodes that each joins; no cycle.
        theme: one of ``THEMES``.
    """
    by_id = {node.id: node for node in nodes}
    places = layout([node.id for node in nodes], edges)
    across = centres(places, lambda place: 12 if isinstance(place, Waypoint) else BOX, GAP)
    columns = _columns(places, by_id)
    width = max((begin + size for begin, size in columns), default=0) + MARGIN
    bottom = max(
        (centre + (6 if isinstance(place, Waypoint) else BOX // 2) for place, centre in across.items()),
        default=0,
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 2 * MARGIN}" width="{width}"'
        f' height="{bottom + 2 * MARGIN}" role="img" aria-labelledby="title">',
        f'<title id="title">{escape(_title(nodes, edges, by_id))}</title>',
        f"<style>{_style(theme)}</style>",
        *_lines(places, edges, across, columns),
        *_boxes(places, by_id, across, columns),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _title(nodes: Sequence[Node], edges: Sequence[tuple[str, str]], by_id: Mapping[str, Node]) -> str:
    """Return the graph as a sentence, for those who cannot see it."""
    sources: dict[str, list[str]] = {}
    for source, target in edges:
        sources.setdefault(target, []).append(by_id[source].name)
    reads = [
        f"{node.name} reads {' and '.join(sorted(set(sources[node.id])))}"
        for node in nodes
        if node.id in sources
    ]
    return "; ".join(reads) or ", ".join(node.name for node in nodes) or "no pipelines"


def _columns(places: Layout, nodes: Mapping[str, Node]) -> list[tuple[int, int]]:
    """Return where each layer begins, and its width."""
    columns, begin = [], MARGIN
    for layer in places.layers:
        names = [nodes[place] for place in layer if isinstance(place, str)]
        longest = max((max(len(node.name), len(node.note)) for node in names), default=0)
        size = min(max(LEAST_WIDTH, round(longest * CHARACTER) + 36), WIDEST)
        columns.append((begin, size))
        begin += size + BETWEEN
    return columns


def _layer_of(places: Layout) -> dict[Place, int]:
    return {place: number for number, layer in enumerate(places.layers) for place in layer}


def _lines(
    places: Layout,
    edges: Sequence[tuple[str, str]],
    across: Mapping[Place, int],
    columns: Sequence[tuple[int, int]],
) -> Iterator[str]:
    number_of = _layer_of(places)
    for source, target in sorted(set(edges)):
        first, last = number_of[source], number_of[target]
        x, y = sum(columns[first]), across[source] + MARGIN
        path = f"M{x} {y}"
        for layer in range(first + 1, last + 1):
            place: Place = Waypoint(source, target, layer) if layer < last else target
            begin, size = columns[layer]
            below = across[place] + MARGIN
            end = begin - TIP if layer == last else begin
            middle = (x + end) / 2
            path += f"C{middle:g} {y} {middle:g} {below} {end} {below}"
            x, y = end, below
            if layer < last:
                path += f"H{begin + size}"
                x = begin + size
        yield f'<path class="line" d="{path}"/>'
        yield f'<path class="tip" d="M{x} {y - 4}l{TIP} 4l-{TIP} 4z"/>'


def _boxes(
    places: Layout, nodes: Mapping[str, Node], across: Mapping[Place, int], columns: Sequence[tuple[int, int]]
) -> Iterator[str]:
    for number, layer in enumerate(places.layers):
        begin, size = columns[number]
        room = int((size - 24) / CHARACTER)
        for place in layer:
            if isinstance(place, Waypoint):
                continue
            node, middle = nodes[place], across[place] + MARGIN
            kind, corner = ("pipeline", 4) if node.is_pipeline else ("repo", 16)
            centre = begin + size // 2
            name = node.name if len(node.name) <= room else f"{node.name[: room - 1]}…"
            place_and_size = f'x="{begin}" y="{middle - BOX // 2}" width="{size}" height="{BOX}"'
            yield f'<rect class="{kind}" {place_and_size} rx="{corner}"/>'
            yield f'<text class="name" x="{centre}" y="{middle - 3}">{escape(name)}</text>'
            state = ROLES.get(node.note, "neutral")
            yield f'<text class="{state}" x="{centre}" y="{middle + 15}">{escape(node.note)}</text>'


def _style(theme: str) -> str:
    shape = (
        f"text{{font:12px {_FONT};text-anchor:middle}}.name{{font-size:14px;font-weight:600}}"
        ".line{fill:none}rect,.line{stroke-width:1.5}"
    )
    if theme == "auto":
        return f"{shape}{_fills(_LIGHT)}@media(prefers-color-scheme:dark){{{_fills(_DARK)}}}"
    return shape + _fills(_DARK if theme == "dark" else _LIGHT)


def _fills(colours: _Colours) -> str:
    roles = "".join(
        f".{role}{{fill:{getattr(colours, role)}}}" for role in ("good", "active", "wait", "bad", "neutral")
    )
    return (
        f".name{{fill:{colours.text}}}.line,rect{{stroke:{colours.line}}}"
        f".tip{{fill:{colours.line}}}.repo{{fill:{colours.repo}}}.pipeline{{fill:{colours.pipeline}}}{roles}"
    )
