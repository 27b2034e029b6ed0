"""Puts every photograph of /pfs/images beside its edges from /pfs/edges, all on one sheet, /pfs/out/montage.png."""

import math
import os
from pathlib import Path

import cv2
import numpy as np

PFS = Path(os.environ.get("PFS_ROOT", "/pfs"))  # /pfs, unless the machine forbids private roots

# Sizes in pixels, colours in blue, green, red.
PICTURE = 260  # height and width of the square that a picture is fitted into
GAP = 8  # between a photograph and its edges
MARGIN = 28  # around cards and the sheet
PADDING = 14  # inside a card
CAPTION = 34  # height of the line below the pictures
HEADER = 84
SHEET, CARD, BACKDROP = (32, 27, 24), (48, 42, 38), (24, 20, 18)
INK, DIM, ACCENT = (238, 234, 230), (160, 150, 142), (96, 178, 255)
FONT = cv2.FONT_HERSHEY_DUPLEX


def fitted(picture: np.ndarray | None) -> np.ndarray:
    """Return the picture scaled to fit into a square."""
    square = np.full((PICTURE, PICTURE, 3), BACKDROP, np.uint8)
    if picture is None:
        write(square, "no edges yet", (PICTURE // 2 - 55, PICTURE // 2), 0.5, DIM)
        return square
    height, width = picture.shape[:2]
    scale = PICTURE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = (PICTURE - size[1]) // 2, (PICTURE - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = small
    return square


def write(
    picture: np.ndarray, text: str, at: tuple[int, int], size: float, colour: tuple[int, int, int]
) -> int:
    """Write a line of text with its base line at ``at``; return its width."""
    text = text.encode("ascii", "replace").decode()  # all that OpenCV's fonts have
    cv2.putText(picture, text, at, FONT, size, colour, 1, cv2.LINE_AA)
    return cv2.getTextSize(text, FONT, size, 1)[0][0]


def card(name: str, photograph: np.ndarray, edges: np.ndarray | None) -> np.ndarray:
    """Return a photograph and its edges side by side with a caption."""
    pair = np.full((PICTURE + 2 * PADDING + CAPTION, 2 * PICTURE + GAP + 2 * PADDING, 3), CARD, np.uint8)
    for place, picture in enumerate((photograph, edges)):
        left = PADDING + place * (PICTURE + GAP)
        pair[PADDING : PADDING + PICTURE, left : left + PICTURE] = fitted(picture)
    base = pair.shape[0] - PADDING - 4
    height, width = photograph.shape[:2]
    title = name if len(name) <= 36 else f"{name[:20]}...{name[-13:]}"
    write(pair, title, (PADDING + 2, base), 0.55, INK)
    facts = f"{width} x {height}"
    room = cv2.getTextSize(facts, FONT, 0.45, 1)[0][0]
    write(pair, facts, (pair.shape[1] - PADDING - 2 - room, base), 0.45, DIM)
    return pair


def sheet(cards: list[np.ndarray]) -> np.ndarray:
    """Return the cards in a grid with about the proportions of a screen."""
    height, width = cards[0].shape[:2] if cards else (0, 2 * PICTURE)
    columns = max(1, round(math.sqrt(len(cards) * 1.5 * (height + MARGIN) / (width + MARGIN))))
    rows = math.ceil(len(cards) / columns)
    size = (HEADER + MARGIN + rows * (height + MARGIN), MARGIN + columns * (width + MARGIN), 3)
    canvas = np.full(size, SHEET, np.uint8)
    for number, each in enumerate(cards):
        top = HEADER + MARGIN + number // columns * (height + MARGIN)
        left = MARGIN + number % columns * (width + MARGIN)
        canvas[top : top + height, left : left + width] = each
    title = write(canvas, "Edges", (MARGIN, HEADER - 16), 1.2, INK)
    count = "1 photograph" if len(cards) == 1 else f"{len(cards)} photographs"
    write(canvas, count, (MARGIN + title + 22, HEADER - 16), 0.65, DIM)
    cv2.line(canvas, (MARGIN, HEADER + 6), (size[1] - MARGIN, HEADER + 6), ACCENT, 2, cv2.LINE_AA)
    return canvas


def main() -> None:
    """Make the sheet of everything in both repos."""
    photographs, edges = PFS / "images", PFS / "edges"
    cards = []
    for file in sorted(path for path in photographs.rglob("*") if path.is_file()):
        name = str(file.relative_to(photographs))
        photograph = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if photograph is None:
            print(f"{name}: not a picture that OpenCV can read; left out")
            continue
        drawing = next((place for place in (edges / name, edges / f"{name}.png") if place.is_file()), None)
        cards.append(
            card(name, photograph, None if drawing is None else cv2.imread(str(drawing), cv2.IMREAD_COLOR))
        )
    montage = sheet(cards)
    cv2.imwrite(str(PFS / "out" / "montage.png"), montage)
    print(f"{len(cards)} photographs on a sheet of {montage.shape[1]} x {montage.shape[0]}")


if __name__ == "__main__":
    main()
