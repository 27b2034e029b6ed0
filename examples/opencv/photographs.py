"""The photographs of the demo, taken from the wheels of scikit-image and scikit-learn."""

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
    """The photographs of each step. The folders hold only the pictures named here."""

    first: tuple[str, ...]
    first_folder: Path
    #: Added in the second step; ``all_folder`` holds these and the first ones.
    second: tuple[str, ...]
    all_folder: Path
    replaced: str
    #: The file that replaces it.
    mirrored: Path
    deleted: str


def prepare(folder: Path) -> Sets:
    """Copy the pictures into folders below ``folder``."""
    sources = [_beside("skimage", "data"), _beside("sklearn", "datasets/images")]
    for name, files in (("first", FIRST), ("all", FIRST + SECOND)):
        target = folder / name
        target.mkdir(parents=True)
        for file in files:
            shutil.copy(next(source / file for source in sources if (source / file).exists()), target / file)
    mirrored = folder / f"mirrored-{REPLACED}"
    _mirror(folder / "first" / REPLACED, mirrored)
    return Sets(FIRST, folder / "first", SECOND, folder / "all", REPLACED, mirrored, DELETED)


def _beside(package: str, path: str) -> Path:
    """Return a folder inside an installed package, without importing the package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None, f"{package} is part of the demo extra"
    assert spec.origin is not None
    return Path(spec.origin).parent / path


def _mirror(source: Path, target: Path) -> None:
    from PIL import Image, ImageOps

    with Image.open(source) as picture:
        ImageOps.mirror(picture).save(target)
