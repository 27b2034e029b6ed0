"""Finds the edges in every picture below /pfs/images and writes them to /pfs/out under the same name."""

import os
from pathlib import Path

import cv2
import numpy as np

PFS = Path(os.environ.get("PFS_ROOT", "/pfs"))  # /pfs, unless the machine forbids private roots


def edges_of(picture: np.ndarray) -> np.ndarray:
    """Return a black picture with the edges in white.

    The thresholds follow the picture's own brightness, so that dark and bright photographs both work.
    """
    smooth = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (5, 5), 0)
    middle = float(np.median(smooth))
    return cv2.Canny(smooth, max(20, 0.66 * middle), max(60, min(255, 1.33 * middle)))


def main() -> None:
    """Work through the pictures of this datum."""
    source, target = PFS / "images", PFS / "out"
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        name = file.relative_to(source)
        picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if picture is None:
            print(f"{name}: not a picture that OpenCV can read; skipped")
            continue
        place = target / name
        if not cv2.haveImageWriter(str(place)):
            place = place.with_name(place.name + ".png")
        place.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place), edges_of(picture))
        height, width = picture.shape[:2]
        print(f"{name}: {width} x {height}")


if __name__ == "__main__":
    main()
