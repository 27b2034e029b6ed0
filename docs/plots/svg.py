"""Charts as SVG text: what the plots of these documents need, so that no plotting library is needed.

The same values give the same bytes. Sizes are in pixels from the top left. Texts are real text in the reader's
sans-serif font; the background is white, so that dark pages show the plots too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 84, 24, 62, 56
INK, FAINT, GRID = "#1f2933", "#5b6773", "#e3e7eb"
#: Told apart by people who see colours differently too (Okabe and Ito's set).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b")


@dataclass
class Drawing:
    """An SVG that is being written."""

    title: str
    subtitle: str = ""
    height: int = HEIGHT
    parts: list[str] = field(default_factory=list)

    def line(
        self, x1: float, y1: float, x2: float, y2: float, colour: str = GRID, width: float = 1, dash: str = ""
    ) -> None:
        """Draw a line."""
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width:g}"{dashes}/>'
        )

    def path(self, points: list[tuple[float, float]], colour: str, dash: str = "") -> None:
        """Draw a line through points."""
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        through = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(
            f'<polyline points="{through}" fill="none" stroke="{colour}" stroke-width="2.5" '
            f'stroke-linejoin="round"{dashes}/>'
        )

    def box(self, x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0) -> None:
        """Fill a rectangle."""
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}" '
            f'fill-opacity="{opacity:g}"/>'
        )

    def dot(self, x: float, y: float, colour: str, radius: float = 4.5) -> None:
        """Draw a point."""
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}" stroke="white" stroke-width="1.5"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        anchor: str = "start",
        size: int = 13,
        colour: str = INK,
        bold: bool = False,
        turn: bool = False,
    ) -> None:
        """Write words; ``turn`` from bottom to top."""
        weight = ' font-weight="600"' if bold else ""
        turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turn else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"'
            f"{weight}{turned}>{escape(words)}</text>"
        )

    def whole(self) -> str:
        """Return the finished document."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}" '
            f'height="{self.height}" font-family="system-ui, Helvetica, Arial, sans-serif" role="img" '
            f'aria-label="{escape(self.title, {chr(34): "&quot;"})}">'
        )
        opening = Drawing("")
        opening.box(0, 0, WIDTH, self.height, "#ffffff")
        opening.text(20, 26, self.title, size=16, bold=True)
        opening.text(20, 45, self.subtitle, size=12, colour=FAINT)
        return "\n".join([head, *opening.parts, *self.parts, "</svg>", ""])


@dataclass(frozen=True)
class Scale:
    """A logarithmic axis: where a value is."""

    low: float
    high: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        """Return the position of a value."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.begin + share * (self.end - self.begin)


def apart(targets: list[float], least: float) -> list[float]:
    """Return positions near the targets, in their order, with at least ``least`` between them."""
    order = sorted(range(len(targets)), key=lambda index: targets[index])
    placed = [0.0] * len(targets)
    last = -math.inf
    for index in order:
        last = placed[index] = max(targets[index], last + least)
    return placed
