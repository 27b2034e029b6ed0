"""``python -m docs_reference [--check]``: make the generated pages and parts, or compare them with the files."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

from docs_reference import generated

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    """Write the files that differ; with ``--check`` print the differences and return 1 when there are any."""
    check = arguments == ["--check"]
    try:
        files, stale = generated.files(ROOT), generated.stale(ROOT)
    except LookupError as error:
        sys.stderr.write(f"docs: {error}\n")
        return 1
    changed = 0
    for path, text in files.items():
        file = ROOT / path
        old = file.read_text(encoding="utf-8") if file.exists() else ""
        if old == text:
            continue
        changed += 1
        if check:
            lines = difflib.unified_diff(old.splitlines(), text.splitlines(), path, path, n=1, lineterm="")
            sys.stdout.writelines(f"{line}\n" for line in [*lines][:40])
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path}\n")
    for path in stale:
        changed += 1
        sys.stdout.write(f"{path} is not made any more\n")
        if not check:
            (ROOT / path).unlink()
    if check and changed:
        sys.stderr.write(f"{changed} generated files differ; run scripts/docs generate\n")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
