"""The images: what a worker's image must hold, and what the script that builds them says to mistakes."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()


def module_file(name: str) -> Path | None:
    path = SOURCE / name.replace(".", "/")
    return next(
        (candidate for candidate in (path.with_suffix(".py"), path / "__init__.py") if candidate.is_file()),
        None,
    )


def imported_by(name: str) -> set[str]:
    """Name every module that a module may import, except for annotations alone."""
    path = module_file(name)
    assert path is not None, name
    modules: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        waiting += ast.iter_child_nodes(node)
    return modules


def packages_of_a_worker() -> set[str]:
    """Follow all imports from the worker's modules and name the distributions that are not Python's own."""
    files = (SOURCE / "trunkline/worker").glob("*.py")
    waiting = {f"trunkline.worker.{path.stem}" for path in files if path.stem != "__init__"}
    seen: set[str] = set()
    others: set[str] = set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for target in imported_by(name):
            if not target.startswith("trunkline"):
                others.add(_google(target) or target.split(".")[0])
            elif module_file(target) is not None and target not in seen:
                waiting.add(target)
    of_package = importlib.metadata.packages_distributions() | {
        "google.protobuf": ["protobuf"],
        "google.rpc": ["googleapis-common-protos"],
    }
    third_party = others - set(sys.stdlib_module_names) - {"__future__"}
    return {of_package[name][0].lower().replace("_", "-") for name in third_party}


def _google(target: str) -> str:
    """Return the package of a module of the namespace ``google``; empty for other modules."""
    parts = target.split(".")
    if parts[0] != "google":
        return ""
    return "google.rpc" if parts[1] in ("rpc", "api") else "google.protobuf"


def test_the_image_of_workers_holds_what_a_worker_imports_and_nothing_else() -> None:
    lines = (ROOT / "docker/worker.txt").read_text().splitlines()

    listed = {line for line in lines if not line.startswith("#")}

    # The server alone parses specs and sends spans, so no worker imports what does this.
    assert listed == packages_of_a_worker() - {"pyyaml", "opentelemetry-exporter-otlp-proto-http"}


def test_both_images_run_as_an_ordinary_user_by_number_so_that_kubernetes_can_verify_it() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    finals = [stage for stage in stages if re.search(r" AS (?:server|worker)\n", stage)]

    assert len(finals) == 2
    for stage in finals:
        assert re.findall(r"^USER (.*)$", stage, re.MULTILINE) == ["1000:1000"]


def build(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", str(ROOT / "scripts/build-images"), *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr.strip()


def test_a_mistake_on_the_command_line_is_told_before_anything_is_built(tmp_path: Path) -> None:
    code, message = build("--arch", "riscv")
    assert (code, message) == (1, "build-images: --arch riscv is not supported; it can be amd64 or arm64")
    code, message = build("--bass", "x")
    assert (code, message) == (
        1,
        "build-images: unknown option '--bass'; see scripts/build-images --help",
    )
    code, message = build("--launcher", str(tmp_path / "none"))
    assert (code, message) == (1, f"build-images: --launcher {tmp_path}/none is not a file")
    code, message = build("--tag")
    assert (code, message) == (1, "build-images: --tag needs a value")
