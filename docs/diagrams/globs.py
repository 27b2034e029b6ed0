"""Draws which files four globs of an input select: ``python docs/diagrams/globs.py [FOLDER]``.

The engine that divides commits into datums decides what each glob matches. ``globs-light.svg`` and ``globs-dark.svg``
differ in colours alone; the same tree is in docs/concepts/datums.md.
"""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath

from trunkline.model.globs import compile_glob

#: The tree: every folder and file, in the order in which they are drawn.
TREE = ("/", "/2024", "/2024/feb.csv", "/2024/jan.csv", "/2025", "/2025/jan.csv", "/notes.txt")
FOLDERS = ("/", "/2024", "/2025")
GLOBS = ("/", "/*", "/*/*", "/**")
#: Pixels: of a panel, of a row of the tree, of one level of it, and between a frame and what it holds.
WIDTH, ROW, LEVEL, INSET = 182, 30, 16, 5
TOP, BOTTOM, GAP = 46, 34, 8
#: Text, weak text, frame, its filling.
THEMES = {
    "light": ("#1a1f27", "#566072", "#104cef", "#104cef"),
    "dark": ("#e6eaf0", "#a3adbc", "#559aec", "#559aec"),
}


def level(path: str) -> int:
    """Return how deep a path is; the root has 0."""
    return 0 if path == "/" else path.count("/")


def below(path: str) -> list[str]:
    """Return a path and what is below it."""
    return [each for each in TREE if each == path or path == "/" or each.startswith(path + "/")]


def panel(glob: str, begin: float, theme: str) -> list[str]:
    """Return the picture of one glob: a frame around each datum, with the files that it holds.

    Args:
        glob: of an input.
        begin: left edge of the panel, in pixels.
        theme: a key of THEMES.
    """
    ink, weak, frame, filling = THEMES[theme]
    pattern = compile_glob(glob)
    matched = [path for path in TREE if pattern.matches(path)]
    count = f"{len(matched)} datum" + ("s" if len(matched) != 1 else "")
    parts = [
        f'<text x="{begin + 8}" y="24" font-size="17" font-weight="600" fill="{ink}" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace">{glob}</text>',
        f'<text x="{begin + WIDTH - 10}" y="24" font-size="13" fill="{weak}" text-anchor="end">{count}</text>',
    ]
    for path in matched:
        held = below(path)
        around = sum(path in below(other) for other in matched) - 1  # frames that this one is in
        inner = INSET * around
        y = TOP + TREE.index(held[0]) * ROW + 2 + around
        height = len(held) * ROW - 4 - 3 * around
        x = begin + 4 + LEVEL * level(path) + (0 if path != "/" else -2)
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{begin + WIDTH - 6 - inner - x:.1f}" height="{height:.1f}" rx="6" '
            f'fill="{filling}" fill-opacity="0.12" stroke="{frame}" stroke-width="1.5"/>'
        )
    for row, path in enumerate(TREE):
        held = any(path in below(each) for each in matched)
        name = path if path == "/" else PurePosixPath(path).name + ("/" if path in FOLDERS else "")
        parts.append(
            f'<text x="{begin + 12 + LEVEL * level(path)}" y="{TOP + row * ROW + 20}" font-size="14" '
            f'fill="{ink if held else weak}">{name}</text>'
        )
    return parts


def picture(theme: str) -> str:
    """Return the whole picture as SVG."""
    width = len(GLOBS) * (WIDTH + GAP)
    height = TOP + len(TREE) * ROW + BOTTOM
    label = "One tree of files, and the datums that the globs " + ", ".join(GLOBS) + " make of it"
    _, weak, *_ = THEMES[theme]
    parts = [part for index, glob in enumerate(GLOBS) for part in panel(glob, index * (WIDTH + GAP), theme)]
    parts.append(
        f'<text x="8" y="{height - 10}" font-size="13" fill="{weak}">A frame is a datum: '
        "the command runs once for it and sees the files in it.</text>"
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="system-ui, Helvetica, Arial, sans-serif" role="img" aria-label="{label}">'
    )
    return "\n".join([head, *parts, "</svg>", ""])


def main(folder: Path) -> None:
    """Write both pictures into a folder."""
    for theme in THEMES:
        (folder / f"globs-{theme}.svg").write_text(picture(theme))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
