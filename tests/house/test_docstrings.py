"""Public functions with three or more parameters document each of them, with its unit, and the errors they raise.

Checked on the sources, so that nothing is imported. Exempt are methods that answer an RPC or run a command: their
parameters are the same everywhere. ruff checks that an ``Args`` section names every parameter. Of the errors, those
of ``errors.py`` count that the function's own body raises by name.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src" / "trunkline"
GENERATED = "rpc/gen/"

#: From this number of parameters on, the names alone do not say enough.
MANY = 3


def modules() -> list[str]:
    """Return the modules to check, as paths below ``SOURCES``."""
    names = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.py"))
    return [name for name in names if not name.startswith(GENERATED)]


def parameters(function: Function) -> list[str]:
    """Return the names of a function's parameters, without ``self`` and ``cls``."""
    arguments = function.args
    declared = [
        *arguments.posonlyargs,
        *arguments.args,
        arguments.vararg,
        *arguments.kwonlyargs,
        arguments.kwarg,
    ]
    names = [argument.arg for argument in declared if argument is not None]
    return [name for name in names if name not in ("self", "cls")]


#: The names of our own errors.
ERRORS = {
    node.name
    for node in ast.parse((SOURCES / "errors.py").read_text()).body
    if isinstance(node, ast.ClassDef)
}


def long_functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Function]]:
    """Yield the public functions of a module or class that have many parameters, with their place."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from long_functions(node.body, f"{prefix}{node.name}.")
        if not isinstance(node, Function) or node.name.startswith("_"):
            continue
        answers_rpc = node.name[0].isupper()
        if not answers_rpc and len(parameters(node)) >= MANY:
            yield f"{prefix}{node.name}, line {node.lineno}", node


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """Yield what a function consists of, without the functions and classes in it."""
    nodes: list[ast.AST] = [*function.body]
    while nodes:
        node = nodes.pop()
        if not isinstance(node, Function | ast.ClassDef | ast.Lambda):
            yield node
            nodes += ast.iter_child_nodes(node)


def raised(function: Function) -> set[str]:
    """Return the names of the errors of ours that a function's own body raises."""
    names = set()
    for node in own_nodes(function):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            error = node.exc.func
            names.add(error.attr if isinstance(error, ast.Attribute) else getattr(error, "id", ""))
    return names & ERRORS


def test_functions_with_many_parameters_document_them() -> None:
    undocumented = [
        f"{module}: {place}"
        for module in modules()
        for place, node in long_functions(ast.parse((SOURCES / module).read_text()).body)
        if "Args:" not in (ast.get_docstring(node) or "")
    ]
    assert undocumented == []


def test_functions_with_many_parameters_document_the_errors_they_raise() -> None:
    undocumented = [
        f"{module}: {place}: {error}"
        for module in modules()
        for place, node in long_functions(ast.parse((SOURCES / module).read_text()).body)
        for error in sorted(raised(node))
        if f"{error}:" not in (ast.get_docstring(node) or "").partition("Raises:")[2]
    ]
    assert undocumented == []
