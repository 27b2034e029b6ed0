"""Classifies one review after the other by a model that is loaded once."""

import json
import os
from pathlib import Path

from pachyderm_sdk import batch_all_datums

weights = json.loads(Path("/pfs/model/weights.json").read_text())
print("model loaded")


@batch_all_datums
def classify() -> None:
    review = Path(os.environ["reviews"])  # noqa: SIM112  the name of the input
    score = sum(weights.get(word.strip(".,!").lower(), 0) for word in review.read_text().split())
    Path("/pfs/out", review.name).write_text("good\n" if score > 0 else "bad\n")


classify()
