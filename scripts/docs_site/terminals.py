"""Draws pictures of terminals for the handbook: ``docs/pictures/NAME-light.svg`` and ``NAME-dark.svg``.

    python -m docs_site.terminals

A shell in a pseudo-terminal of 80 columns gets commands as if they were typed, against a server with
prepared data; pyte keeps the screen as a terminal would. The screen is drawn once per theme, in the colours of
``docs/assets/handbook.css``. Ids and times differ from run to run: look at the pictures before you commit them.
"""

from __future__ import annotations

import contextlib
import fcntl
import html
import itertools
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyte

from docs_site.diagrams import SCHEMES, colours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyte.screens import Char

COLUMNS = 80
#: Pixels of a cell and of the frame around the screen.
_WIDTH, _HEIGHT, _FRAME = 8.4, 18, 12
#: Seconds that a screen gets to show what it should.
_PATIENCE = 60.0
_PROMPT = "$ "
#: Names of the style sheet for the colours of a terminal.
_PALETTE = {
    "black": "raised",
    "red": "bad",
    "green": "good",
    "brown": "wait",
    "blue": "active",
    "magenta": "active",
    "cyan": "active",
    "white": "text",
    "brightblack": "muted",
    "brightred": "bad",
    "brightgreen": "good",
    "brightbrown": "wait",
    "brightblue": "active",
    "brightmagenta": "active",
    "brightcyan": "active",
    "brightwhite": "text",
}
_SPECS = {
    "lengths": ("texts", 'cd /pfs/texts; test -s * || { echo "$(echo *) is empty" >&2; exit 3; }'),
    "resize": ("photos", "cp /pfs/photos/* /pfs/out/"),
    "edges": ("resize", "sleep 1000"),
    "train": ("photos", "sleep 6"),
}
#: Specs that no pipeline is made from: one that changes "resize", and one with mistakes.
_OTHERS = {
    "changed.json": {
        "pipeline": {"name": "resize"},
        "input": {"pfs": {"repo": "photos", "glob": "/[1-6].jpg"}},
        "transform": {"cmd": ["sh", "-c", "convert -resize 50% /pfs/photos/* /pfs/out/"]},
        "parallelismSpec": {"constant": 4},
        "autoscaling": True,
    },
    "wrong.json": {
        "pipeline": {"name": "lengths"},
        "input": {"pfs": {"repo": "text", "glob": "/*"}},
        "transform": {"cmd": ["sh"], "stdin": ["wc -c /pfs/texts/*"]},
        "parallelismSpec": {"constant": 0},
        "datumTries": -1,
    },
}
_DATA = """
trunkline create repo texts
trunkline create repo photos
printf 'to be or not to be' | trunkline put file texts@master:/hamlet.txt
: | trunkline put file texts@master:/empty.txt
for n in 1 2 3 4 5 6 7 8; do echo $n > $n.jpg; done
trunkline put file photos@master -f *.jpg
for spec in [0-9]-*.json; do trunkline create pipeline -f $spec; done
trunkline wait job lengths@ || true
trunkline wait commit resize@master
"""


class Picture(NamedTuple):
    """A command, in which ``{datum}`` is the id of one; what the screen shows then; and its rows.

    Without a text to wait for, the picture is drawn at the next prompt.
    """

    name: str
    command: str
    shows: Sequence[str] = ()
    rows: int = 24


PICTURES = (
    Picture("list-job", "trunkline list job"),
    Picture("top", "trunkline top", ("edges", "running", "failure", "q end"), rows=14),
    Picture("wait", "trunkline wait job train@", ("train@: running, 4 of 8 datums",)),
    Picture("first-screen", "trunkline", rows=40),
    Picture("failed-job", "trunkline inspect job lengths@"),
    Picture("plan", "trunkline plan -f changed.json --reprocess"),
    Picture("explain-datum", "trunkline explain datum resize@ {datum}"),
    Picture("spec-error", "trunkline create pipeline -f wrong.json"),
)


def main(root: Path) -> int:
    """Draw all pictures of a repository's handbook."""
    sheet = (root / "docs/assets/handbook.css").read_text()
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as environment:
        for picture in PICTURES:
            lines = _screen(picture, Path(folder), environment)
            for theme, scheme in SCHEMES.items():
                path = root / f"docs/pictures/{picture.name}-{theme}.svg"
                path.write_text(drawing(lines, colours(sheet, scheme)))
    print(f"docs: {len(PICTURES)} pictures of terminals drawn; look at them")
    return 0


def drawing(lines: Sequence[Sequence[Char]], palette: dict[str, str]) -> str:
    """Return the SVG of a screen.

    Args:
        lines: the cells of each row that is drawn.
        palette: colours of a theme by the names of the style sheet.
    """
    width, height = COLUMNS * _WIDTH + 2 * _FRAME, len(lines) * _HEIGHT + 2 * _FRAME
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" font-family="ui-monospace, \'DejaVu Sans Mono\', Menlo, Consolas, monospace" '
        'font-size="13.5">',
        f'<rect x=".5" y=".5" width="{width - 1:.0f}" height="{height - 1}" rx="6" fill="{palette["surface"]}" '
        f'stroke="{palette["hairline"]}"/>',
    ]
    for row, cells in enumerate(lines):
        column = 0
        for (text, behind, weight), run in itertools.groupby(cells, lambda cell: _look(cell, palette)):
            content = "".join(cell.data for cell in run)
            parts.extend(_run(content, column, row, text, behind, weight))
            column += len(content)
    return "\n".join([*parts, "</svg>", ""])


def _run(content: str, column: int, row: int, text: str, behind: str, weight: str) -> Iterator[str]:
    """Yield the elements of neighbouring cells that look alike; their width does not depend on the font."""
    x, y, length = _FRAME + column * _WIDTH, _FRAME + row * _HEIGHT, len(content) * _WIDTH
    if behind:
        yield f'<rect x="{x:.1f}" y="{y}" width="{length:.1f}" height="{_HEIGHT}" fill="{behind}"/>'
    start = len(content) - len(content.lstrip())
    content = content.strip()
    if content:
        yield (
            f'<text x="{x + start * _WIDTH:.1f}" y="{y + 13.5}" textLength="{len(content) * _WIDTH:.1f}" '
            f'lengthAdjust="spacingAndGlyphs" fill="{text}"{weight} style="white-space: pre">'
            f"{html.escape(content, quote=False)}</text>"
        )


def _look(cell: Char, palette: dict[str, str]) -> tuple[str, str, str]:
    """Return the colour of a cell's text, that behind it ('' for the screen's own), and the attribute of bold text."""
    text = _colour(cell.fg, palette, palette["text"])
    behind = _colour(cell.bg, palette, "")
    if cell.reverse:
        text, behind = behind or palette["surface"], text
    return text, behind, ' font-weight="bold"' if cell.bold else ""


def _colour(name: str, palette: dict[str, str], default: str) -> str:
    if name == "default":
        return default
    return palette[_PALETTE[name]] if name in _PALETTE else f"#{name}"


def _screen(picture: Picture, folder: Path, environment: dict[str, str]) -> list[list[Char]]:
    """Type a command and return the rows of the screen, without the empty ones at its end.

    Args:
        picture: what to run and what to wait for.
        folder: where the shell starts.
        environment: its variables.
    """
    screen = pyte.Screen(COLUMNS, picture.rows)
    stream = pyte.ByteStream(screen)
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", picture.rows, COLUMNS, 0, 0))
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"], cwd=folder, env=environment, stdin=side, stdout=side, stderr=side,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(side)
    try:
        _read_until(main, stream, lambda: _last(screen) == _PROMPT.strip(), picture)
        datum = _datum(folder, environment) if "{datum}" in picture.command else ""
        os.write(main, f"{picture.command.format(datum=datum)}\n".encode())
        if picture.shows:
            _read_until(
                main,
                stream,
                lambda: all(text in "\n".join(screen.display) for text in picture.shows),
                picture,
            )
        else:
            _read_until(
                main, stream, lambda: len(_rows(screen)) > 1 and _last(screen) == _PROMPT.strip(), picture
            )
        rows = _rows(screen)
        number = len(rows) if picture.shows else len(rows) - 1
        return [_own_address(screen, row) for row in range(number)]
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
        os.close(main)


def _datum(folder: Path, environment: dict[str, str]) -> str:
    """Return the short id of a datum of "resize"."""
    command = "trunkline list datum resize@ -o name"
    run = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return run.stdout.splitlines()[0].rpartition("@")[2][:12]


def _rows(screen: pyte.Screen) -> list[str]:
    return "\n".join(line.rstrip() for line in screen.display).rstrip("\n").split("\n")


def _last(screen: pyte.Screen) -> str:
    return _rows(screen)[-1]


def _own_address(screen: pyte.Screen, row: int) -> list[Char]:
    """Return the cells of a row, with the usual port in the place of this server's, which has as many digits."""
    cells = [screen.buffer[row][column] for column in range(COLUMNS)]
    host = "127.0.0.1:"
    at = screen.display[row].find(host)
    if at >= 0:
        for column, digit in enumerate("30650", at + len(host)):
            cells[column] = cells[column]._replace(data=digit)
    return cells


def _read_until(main: int, stream: pyte.ByteStream, is_ready: Callable[[], bool], picture: Picture) -> None:
    """Feed what a terminal prints into its screen until the screen shows a text, and until nothing follows.

    Args:
        main: the terminal's main side.
        stream: leads to the screen.
        is_ready: whether the text is there.
        picture: named by the error.

    Raises:
        SystemExit: the screen did not show it in time.
    """
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if select.select([main], [], [], 0.5)[0]:
            stream.feed(os.read(main, 65536))
        elif is_ready():
            return
    raise SystemExit(f"docs: the terminal of {picture.name} did not show what it should")


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[dict[str, str]]:
    """Run a server with the data of the pictures and yield the variables of shells that use it."""
    programs = str(Path(sys.executable).parent)
    environment = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "PS1": _PROMPT,
    }
    command = [f"{programs}/trunkline", "serve", "--data", str(folder / "data"), "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert server.stdout is not None
        environment["TRUNKLINE_ADDRESS"] = json.loads(server.stdout.readline())["grpc"]
        for name, (repo, script) in _SPECS.items():
            spec = {
                "pipeline": {"name": name},
                "input": {"pfs": {"repo": repo, "glob": "/*"}},
                "transform": {"cmd": ["sh", "-c", script]},
                "parallelismSpec": {"constant": 2},
                "autoscaling": True,
            }
            order = list(_SPECS).index(name)
            (folder / f"{order}-{name}.json").write_text(json.dumps(spec))
        for name, spec in _OTHERS.items():
            (folder / name).write_text(json.dumps(spec))
        subprocess.run(
            ["bash", "-e", "-c", _DATA], cwd=folder, env=environment, check=True, capture_output=True
        )
        yield environment
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[2]))
