"""Draws the pipelines of a project and the repos that they read."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from trunkline.cli.drawing import boxes, svg
from trunkline.cli.drawing.boxes import Node
from trunkline.cli.parsing import Command, argument, natural
from trunkline.errors import NotFound
from trunkline.rpc.gen import console_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.cli.invocation import Invocation

#: Characters of a line where there is no terminal to ask.
WIDTH = 80


def draw(invocation: Invocation) -> None:
    """Draw pipelines and repos as text or as SVG."""
    options = invocation.options
    request = console_pb2.InspectGraphRequest(project=invocation.project)
    if options.commit:
        request.commit_set = invocation.set_id(options.commit) or options.commit
    graph: console_pb2.Graph = invocation.console.InspectGraph(request)
    nodes = [_node(node, invocation.project, at_set=bool(options.commit)) for node in graph.nodes]
    edges = [(getattr(edge, "from"), edge.to) for edge in graph.edges]
    if options.pipeline:
        named = invocation.pipeline(options.pipeline)
        nodes, edges = _around(f"{named.project.name}/pipeline:{named.name}", options.pipeline, nodes, edges)
    if not nodes:
        invocation.note(f"project {invocation.project} has no repos and no pipelines")
        return
    if options.svg:
        drawing = svg.draw(nodes, edges, theme=options.theme)
    else:
        text = boxes.draw(
            nodes, edges, width=_width(), box_width=options.box_width, edge_height=options.edge_height
        )
        drawing = f"{text}\n"
    if options.output in (None, "-"):
        sys.stdout.write(drawing)
    else:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(drawing)


def _node(node: console_pb2.GraphNode, project: str, *, at_set: bool) -> Node:
    """Return a node of the drawing: the name, and in the second line what it is or how it does."""
    name = node.name if node.project == project else f"{node.project}/{node.name}"
    is_pipeline = node.kind == "pipeline"
    state = node.state.lower() or ("no job" if at_set else node.kind)
    return Node(node.id, name, state if is_pipeline and not node.outside else node.kind, is_pipeline)


def _around(
    id: str, name: str, nodes: Iterable[Node], edges: Iterable[tuple[str, str]]
) -> tuple[list[Node], list[tuple[str, str]]]:
    """Return the part of a graph that a pipeline is made from, and that is made from it.

    Args:
        id: of the pipeline's node.
        name: of the pipeline, as the user wrote it.
        nodes: of the graph.
        edges: of the graph.

    Raises:
        NotFound: no node is the pipeline.
    """
    if all(node.id != id for node in nodes):
        raise NotFound(f'pipeline {name} not found; see "trunkline list pipeline"')
    related = {id}
    for near, far in ((1, 0), (0, 1)):
        waiting = [id]
        while waiting:
            place = waiting.pop()
            for edge in edges:
                if edge[near] == place and edge[far] not in related:
                    related.add(edge[far])
                    waiting.append(edge[far])
    return (
        [node for node in nodes if node.id in related],
        [edge for edge in edges if edge[0] in related and edge[1] in related],
    )


def _width() -> int:
    """Return the characters of a line of the terminal, or 80."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return shutil.get_terminal_size((WIDTH, 24)).columns
    return WIDTH


COMMANDS = {
    "draw pipeline": Command(
        draw,
        (
            argument(
                "pipeline",
                metavar="PIPELINE",
                nargs="?",
                help="only what this pipeline is made from, and what is made from it",
            ),
            argument("-c", "--commit", metavar="ID", help="the states of the jobs with this id"),
            argument(
                "--box-width",
                type=natural,
                default=0,
                metavar="N",
                help="characters of each box (as the names need, 11 to 28)",
            ),
            argument(
                "--edge-height",
                type=natural,
                default=0,
                metavar="N",
                help="lines between boxes at least (as few as possible)",
            ),
            argument("--svg", action="store_true", help="draw SVG instead of text"),
            argument(
                "--theme",
                choices=svg.THEMES,
                default="auto",
                help="colours of --svg (auto: those of the reader's system)",
            ),
            argument("-o", "--output", metavar="FILE", help="write the drawing to this file"),
        ),
        examples=(
            ("trunkline draw pipeline", "draw the pipelines of the project in use"),
            ("trunkline draw pipeline count --svg -o count.svg", "what belongs to one of them, as a picture"),
        ),
    ),
}
