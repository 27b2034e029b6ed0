"""Public functions with three or more parameters document each of them, with its unit.

Checked on the sources, so that nothing is imported. Exempt are methods that answer an RPC or run a command: their
parameters are the same everywhere. ruff checks that an ``Args`` section names every parameter.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src" / "trunkline"
GENERATED = "rpc/gen/"

#: From this number of parameters on, the names alone do not say enough.
MANY = 3


def modules() -> list[str]:
    """Return the modules to check, as paths below ``SOURCES``."""
    names = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.py"))
    return [name for name in names if not name.startswith(GENERATED)]


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
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


def undocumented(body: list[ast.stmt], prefix: str = "") -> list[str]:
    """Return the public functions of a module or class that have many parameters and no ``Args``."""
    names = []
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            names += undocumented(node.body, f"{prefix}{node.name}.")
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        answers_rpc = node.name[0].isupper()
        if answers_rpc or len(parameters(node)) < MANY:
            continue
        if "Args:" not in (ast.get_docstring(node) or ""):
            names.append(f"{prefix}{node.name}, line {node.lineno}")
    return names


@pytest.mark.parametrize("module", modules())
def test_functions_with_many_parameters_document_them(module: str) -> None:
    tree = ast.parse((SOURCES / module).read_text())

    assert undocumented(tree.body) == []
