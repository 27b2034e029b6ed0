"""The package: its version, its dependencies, and what must not be in the repository."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import trunkline

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src/trunkline"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

#: What belongs to one machine or one network, not to everybody: home folders, hosts of package indexes.
#: In pieces, so that this file passes its own test.
FORBIDDEN = re.compile(
    r"(?<![\w.~])/(?:wor" + r"k|ro" + r"ot|ho" + r"me)/\w|py" + r"pi\.(?:org|[a-z]+\.)|index" + r"-url"
)


def distribution_name(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None
    return name[0].lower().replace("_", "-")


def imported_packages() -> Iterator[str]:
    """Yield the first name of every absolute import in the package."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                # google is a folder that several distributions share.
                yield node.module if node.module.startswith("google.") else node.module.split(".")[0]


def test_the_version_is_the_same_everywhere() -> None:
    assert trunkline.__version__ == PROJECT["version"]


def test_the_dependencies_are_exactly_what_is_imported() -> None:
    of_package = importlib.metadata.packages_distributions()
    named = {distribution_name(requirement) for requirement in PROJECT["dependencies"]}

    used = set()
    for package in set(imported_packages()) - {"trunkline", "__future__"}:
        if package.startswith("google.protobuf"):
            used.add("protobuf")
        elif package.startswith("google.rpc"):
            used.add("googleapis-common-protos")
        elif package == "opentelemetry":  # a folder that several distributions share
            used.update(map(distribution_name, PROJECT["optional-dependencies"]["otel"]))
        elif package not in sys.stdlib_module_names:
            used.add(distribution_name(of_package.get(package, [package])[0]))  # an extra may be absent

    extras = PROJECT["optional-dependencies"]
    optional = {
        distribution_name(requirement)
        for extra in ("postgres", "kubernetes", "containers", "hypercorn", "aws", "otel", "jsonnet", "mysql")
        for requirement in extras[extra]
    }
    assert used - optional == named


def test_every_dependency_has_its_reason_and_its_pinned_version() -> None:
    reasons = (ROOT / "docs/design/decisions/0001-dependencies.md").read_text().lower()
    locked = {
        distribution_name(line)
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line
    }
    extras = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]

    for requirement in PROJECT["dependencies"]:
        assert distribution_name(requirement) in reasons
    for requirement in [*PROJECT["dependencies"], *extras]:
        if requirement.startswith("trunkline["):
            continue  # other extras of ours
        assert distribution_name(requirement) in locked


def test_the_lock_holds_versions_and_nothing_else() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()

    other = [line for line in lines if not re.fullmatch(r"#.*|[\w.-]+==[\w.]+", line)]

    assert other == []


def test_nothing_here_belongs_to_one_machine() -> None:
    skipped = {
        ".git",
        ".venv",
        ".venv-newest",
        "node_modules",
        ".hypothesis",
        "__pycache__",
        "build",
        "dist",
        "demo-data",
    }
    texts = (".py", ".md", ".toml", ".json", ".yaml", ".proto", ".txt", ".lock", "")
    phrases = []
    for path in sorted(ROOT.rglob("*")):
        relative = path.relative_to(ROOT)
        hidden = any(part in skipped or part.endswith("_cache") for part in relative.parts)
        if hidden or path.suffix not in texts or not path.is_file():
            continue
        phrases += [
            f"{relative}: {match[0]}" for match in FORBIDDEN.finditer(path.read_text(errors="replace"))
        ]

    assert phrases == []


def test_no_source_file_is_too_long_to_read() -> None:
    lines = {
        path: len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py") if path.parent.name != "gen"
    }

    assert [f"{path.relative_to(ROOT)}: {count}" for path, count in lines.items() if count > 600] == []


def test_names_of_test_modules_are_unique_because_their_folders_are_no_packages() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]

    assert [name for name in set(names) if names.count(name) > 1] == []


def test_no_test_imports_from_a_conftest_because_there_are_several() -> None:
    importing = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("*.py")
        if re.search(r"^(?:from|import) conftest\b", path.read_text(), re.MULTILINE)
    ]

    assert importing == []
