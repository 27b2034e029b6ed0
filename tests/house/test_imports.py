"""Imports between our modules, those for annotations alone included, which the import contracts do not see.

An import below ``if TYPE_CHECKING`` binds nothing at run time, but ties two modules for a reader as any other.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_name(path): path
    for path in (SOURCE / "trunkline").rglob("*.py")
    if "gen" not in path.parts and "migrations" not in path.parts
}


def imports_of(name: str) -> set[str]:
    """Return our own modules that a module imports anywhere in its file."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            modules.update(member for member in members if member in FILES)
            if not members <= FILES.keys():
                modules.add(node.module)
    return {module for module in modules if module in FILES and module != name}


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    return {name: imports_of(name) for name in FILES}


def cycles(graph: dict[str, set[str]]) -> list[frozenset[str]]:
    """Return the groups of modules that reach each other (Tarjan, SIAM J. Comput. 1, 1972)."""
    numbers: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[frozenset[str]] = []

    def visit(name: str) -> None:
        numbers[name] = low[name] = len(numbers)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in numbers:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], numbers[other])
        if low[name] == numbers[name]:
            at = stack.index(name)
            groups.append(frozenset(stack[at:]))
            del stack[at:]

    for name in sorted(graph):
        if name not in numbers:
            visit(name)
    return [group for group in groups if len(group) > 1]


def test_the_network_interface_imports_neither_rows_nor_trees(graph: dict[str, set[str]]) -> None:
    wrong = {
        (name, other)
        for name, others in graph.items()
        for other in others
        if name.startswith("trunkline.rpc") and other.startswith(("trunkline.meta", "trunkline.storage"))
    }

    assert any(name.startswith("trunkline.rpc.") for name in graph)
    assert wrong == set()


def test_no_modules_import_each_other_in_a_circle(
    graph: dict[str, set[str]],
) -> None:
    assert len(graph) > 100
    assert cycles(graph) == []


def test_a_circle_is_found() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [frozenset("abc")]
