"""Places the nodes of a directed acyclic graph in layers, so that few edges cross and most are straight.

The usual steps for layered drawings (Sugiyama, Tagawa and Toda, 1981): longest paths give the layers, an edge that
passes a layer gets a waypoint in it, barycenters order each layer, and positions come from least squares under the
distances that must be kept (pool adjacent violators). Used for text and for SVG, which differ in units only.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

SWEEPS = 8  # over all layers, in turn down and up; more change little
PLACINGS = 6  # sweeps that move nodes towards their neighbours


class Waypoint(NamedTuple):
    """The place of an edge in a layer that it passes."""

    source: str
    target: str
    layer: int


Place = str | Waypoint


class Layout(NamedTuple):
    """Nodes and waypoints by layer, and the pieces of edges between neighbouring layers."""

    layers: list[list[Place]]
    #: Pieces from each place to those of the next layer.
    below: dict[Place, list[Place]]
    #: The same, from below.
    above: dict[Place, list[Place]]


def layout(nodes: Sequence[str], edges: Iterable[tuple[str, str]]) -> Layout:
    """Order the nodes of a graph in layers; sources are in the first layer.

    Args:
        nodes: all of them; their order decides where nothing else does.
        edges: from a node to another. They form no cycle.

    Returns:
        The layers from the first to the last.
    """
    edges = sorted(set(edges))
    depth = _depths(nodes, edges)
    layers: list[list[Place]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    below: dict[Place, list[Place]] = {node: [] for node in nodes}
    above: dict[Place, list[Place]] = {node: [] for node in nodes}
    for node in nodes:
        layers[depth[node]].append(node)
    for source, target in edges:
        path: list[Place] = [source]
        for layer in range(depth[source] + 1, depth[target]):
            point = Waypoint(source, target, layer)
            layers[layer].append(point)
            below[point], above[point] = [], []
            path.append(point)
        path.append(target)
        for upper, lower in pairwise(path):
            below[upper].append(lower)
            above[lower].append(upper)
    return Layout(_with_few_crossings(layers, below, above), below, above)


def _depths(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return the layer of each node: the length of the longest path to it.

    A source is moved down to just above its first target, so that its edges are short.
    """
    targets: dict[str, list[str]] = {node: [] for node in nodes}
    missing = dict.fromkeys(nodes, 0)
    for source, target in edges:
        targets[source].append(target)
        missing[target] += 1
    sources = [node for node in nodes if not missing[node]]
    depth = dict.fromkeys(sources, 0)
    ready = list(sources)
    while ready:
        node = ready.pop()
        for target in targets[node]:
            depth[target] = max(depth.get(target, 0), depth[node] + 1)
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    for node in sources:
        if targets[node]:
            depth[node] = min(depth[target] for target in targets[node]) - 1
    return depth


def _with_few_crossings(
    layers: list[list[Place]], below: Mapping[Place, list[Place]], above: Mapping[Place, list[Place]]
) -> list[list[Place]]:
    best, fewest = layers, _crossings(layers, below)
    current = [list(layer) for layer in layers]
    for sweep in range(SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        neighbours = above if down else below
        for number in range(1, len(current)) if down else range(len(current) - 2, -1, -1):
            beside = current[number - 1 if down else number + 1]
            rank = {place: position for position, place in enumerate(beside)}
            current[number] = _by_barycenter(current[number], neighbours, rank)
        if (count := _crossings(current, below)) < fewest:
            best, fewest = [list(layer) for layer in current], count
    return best


def _by_barycenter(
    layer: Sequence[Place], neighbours: Mapping[Place, list[Place]], rank: Mapping[Place, int]
) -> list[Place]:
    def weight(indexed: tuple[int, Place]) -> tuple[float, int]:
        position, place = indexed
        ranks = [rank[other] for other in neighbours[place]]
        return (sum(ranks) / len(ranks) if ranks else position, position)

    return [place for _, place in sorted(enumerate(layer), key=weight)]


def _crossings(layers: Sequence[Sequence[Place]], below: Mapping[Place, list[Place]]) -> int:
    count = 0
    for upper, lower in pairwise(layers):
        rank = {place: position for position, place in enumerate(lower)}
        passed: list[int] = []  # ends of the pieces that begin further left
        for place in upper:
            ends = [rank[target] for target in below[place]]
            count += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return count


def centres(drawn: Layout, extent: Callable[[Place], int], gap: int) -> dict[Place, int]:
    """Return where the centre of each place is along its layer, from 0 on.

    Args:
        drawn: the layers.
        extent: size of a place along the layer.
        gap: least distance between two neighbours of a layer.
    """
    at: dict[Place, float] = {}
    for layer in drawn.layers:
        begin = 0
        for place in layer:
            at[place] = begin + extent(place) // 2
            begin += extent(place) + gap
    for sweep in range(PLACINGS):
        down = sweep % 2 == 0
        neighbours = drawn.above if down else drawn.below
        for layer in drawn.layers if down else reversed(drawn.layers):
            desired = [_mean([at[other] for other in neighbours[place]], at[place]) for place in layer]
            sizes = [extent(place) for place in layer]
            at.update(zip(layer, _apart(desired, sizes, gap), strict=True))
    least = min((round(at[place]) - extent(place) // 2 for place in at), default=0)
    return {place: round(centre) - least for place, centre in at.items()}


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _apart(desired: Sequence[float], sizes: Sequence[int], gap: int) -> list[int]:
    """Return positions that are near the desired ones and keep the order and the gaps.

    Pool adjacent violators (Ayer and others, 1955), after the least distances were taken off.
    """
    offsets, offset = [], 0
    for number, extent in enumerate(sizes):
        if number:
            before = sizes[number - 1]
            offset += before - before // 2 + gap + extent // 2
        offsets.append(offset)
    pools: list[tuple[float, int]] = []  # sum and count
    for target, start in zip(desired, offsets, strict=True):
        total, count = target - start, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            earlier, number = pools.pop()
            total, count = total + earlier, count + number
        pools.append((total, count))
    free = [round(total / count) for total, count in pools for _ in range(count)]
    return [place + offset for place, offset in zip(free, offsets, strict=True)]
