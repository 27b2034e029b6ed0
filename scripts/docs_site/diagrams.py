"""Draws the diagrams of the handbook: ``docs/diagrams/NAME.d2`` becomes ``NAME-light.svg`` and ``NAME-dark.svg``.

    python -m docs_site.diagrams [--check]

D2 draws each source once per theme, in the colours of ``docs/assets/handbook.css``: an image with both themes would
follow the system and not the page. Sources say what a node is by its class: ``data``, ``work`` or ``quiet``. The
drawings are committed, because GitHub shows them too; ``--check`` fails when one is not what its source makes.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

#: The theme's name in the style sheet.
SCHEMES = {"light": "default", "dark": "slate"}
_OPTIONS = (
    "--layout", "elk", "--pad", "8", "--scale", "1", "--omit-version", "--elk-nodeNodeBetweenLayers", "36",
    "--elk-padding", "[top=44,left=16,bottom=16,right=16]", "--elk-edgeNodeBetweenLayers", "18",
)  # fmt: skip
#: What D2 has for its own colours: N1 is text, N7 the background, B1 lines of nodes.
_HEAD = """\
vars: {{
  d2-config: {{
    theme-overrides: {{
      N1: "{text}"; N2: "{muted}"; N3: "{muted}"; N4: "{hairline}"; N5: "{hairline}"; N6: "{surface}"; N7: "{page}"
      B1: "{muted}"; B2: "{muted}"; B3: "{hairline}"; B4: "{surface}"; B5: "{surface}"; B6: "{page}"
      AA2: "{muted}"; AA4: "{surface}"; AA5: "{surface}"; AB4: "{surface}"; AB5: "{surface}"
    }}
  }}
}}
*.style.font-size: 15
*.*.style.font-size: 15
(** -> **)[*].style.stroke: "{muted}"
classes: {{
  data: {{style: {{fill: "{page}"; stroke: "{active}"; stroke-width: 2; border-radius: 4; font-color: "{text}"; bold: false}}}}
  work: {{style: {{fill: "{raised}"; stroke: "{good}"; stroke-width: 2; border-radius: 16; font-color: "{text}"; bold: false}}}}
  quiet: {{style: {{fill: "{page}"; stroke: "{control}"; stroke-width: 2; border-radius: 16; font-color: "{text}"; bold: false}}}}
}}
"""  # noqa: E501


def drawings(root: Path) -> dict[Path, bytes]:
    """Return the drawing of each source and theme by the file that it belongs into."""
    sheet = (root / "docs/assets/handbook.css").read_text()
    program = str(Path(sys.executable).parent / "d2")
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for source in sorted((root / "docs/diagrams").glob("*.d2")):
            for theme, scheme in SCHEMES.items():
                text, drawing = Path(folder) / source.name, Path(folder) / f"{source.stem}-{theme}.svg"
                text.write_text(_HEAD.format_map(colours(sheet, scheme)) + source.read_text())
                subprocess.run(
                    [program, *_OPTIONS, text, drawing], check=True, capture_output=True, text=True
                )
                files[source.parent / drawing.name] = drawing.read_bytes()
    return files


def colours(sheet: str, scheme: str) -> dict[str, str]:
    """Return the colours of a theme by name.

    Args:
        sheet: the style sheet of the handbook.
        scheme: name of the theme in it.
    """
    rule = sheet.partition(f'[data-md-color-scheme="{scheme}"] {{')[2].partition("}")[0]
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", rule))


def main(root: Path, *, check: bool) -> int:
    """Draw all diagrams, or compare them with what is committed."""
    try:
        files = drawings(root)
    except subprocess.CalledProcessError as error:
        print(f"docs: {error.stderr}", file=sys.stderr)
        return 1
    stale = [path for path, content in files.items() if not path.is_file() or path.read_bytes() != content]
    for path in stale:
        if check:
            print(f"docs: {path.relative_to(root)} is not what its source makes; run scripts/docs draw")
        else:
            path.write_bytes(files[path])
    print(f"docs: {len(files)} diagrams, {len(stale)} of them {'differ' if check else 'drawn anew'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[2], check="--check" in sys.argv[1:]))
