"""All that is generated: whole pages, and the parts and figures of pages that people write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docs_reference import commands, figures, http, markdown, specs, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

#: What makes each part, by its name in ``<!-- generated: NAME -->``.
PARTS: Mapping[str, Callable[[], str]] = {
    "commands": commands.overview_table,
    "common-options": commands.common_options,
    "spec-least": specs.least,
    "spec-overview": specs.overview,
    "spec-fleets": specs.fleets,
    "spec-fields": specs.every_field,
    "http-addresses": http.addresses,
    "http-statuses": http.statuses,
    "http-calls": http.calls,
    "pachyderm-fields": specs.pachyderm_fields,
    **tables.PARTS,
}


def files(root: Path) -> dict[str, str]:
    """Return the text of every file with something generated, by its path below the root.

    Args:
        root: of the repository, whose pages have the parts.
    """
    pages = {**commands.pages(), **specs.files()}
    measured = figures.results(root)
    for path in sorted([*(root / "docs").rglob("*.md"), root / "README.md"]):
        name = str(path.relative_to(root))
        text = path.read_text(encoding="utf-8")
        if name not in pages and "<!-- end -->" in text:
            pages[name] = figures.filled(markdown.with_parts(text, PARTS), measured)
    return pages


def stale(root: Path) -> list[str]:
    """Return the paths of whole generated pages that nothing makes any more."""
    pages = files(root)
    return [
        name
        for path in sorted((root / "docs").rglob("*.md"))
        if (name := str(path.relative_to(root))) not in pages
        and markdown.NOTE in path.read_text(encoding="utf-8")
    ]
