"""The photographs of the demo: they come with the wheels of scikit-image and scikit-learn."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

FIRST = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "cell.png",
    "chelsea.png",
    "china.jpg",
    "coffee.png",
    "flower.jpg",
    "grass.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
SECOND = ("coins.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "page.png")
REPLACED, DELETED = "chelsea.png", "grass.png"


@dataclass(frozen=True)
class Sets:
    """What goes in when. Folders hold nothing but the pictures named."""

    first: tuple[str, ...]
    first_folder: Path
    #: What comes later; its folder holds the first ones too.
    second: tuple[str, ...]
    all_folder: Path
    replaced: str
    #: The file that replaces it.
    mirrored: Path
    deleted: str


def prepare(folder: Path) -> Sets:
    """Lay the pictures out below a folder."""
    sources = [_beside("skimage", "data"), _beside("sklearn", "datasets/images")]
    for name, files in (("first", FIRST), ("all", FIRST + SECOND)):
        target = folder / name
        target.mkdir(parents=True)
        for file in files:
            shutil.copy(next(place / file for place in sources if (place / file).exists()), target / file)
    mirrored = folder / f"mirrored-{REPLACED}"
    _mirror(folder / "first" / REPLACED, mirrored)
    return Sets(FIRST, folder / "first", SECOND, folder / "all", REPLACED, mirrored, DELETED)


def _beside(package: str, path: str) -> Path:
    """Return a folder inside an installed package, without the price of importing it."""
    found = importlib.util.find_spec(package)
    assert found is not None, f"{package} is part of the demo extra"
    assert found.origin is not None
    return Path(found.origin).parent / path


def _mirror(source: Path, target: Path) -> None:
    from PIL import Image, ImageOps

    with Image.open(source) as picture:
        ImageOps.mirror(picture).save(target)
