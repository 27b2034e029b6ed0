"""Compares what a model predicts with one file of measurements that it was not trained on."""

import csv
import json
import sys
from pathlib import Path

model, file, target = map(Path, sys.argv[1:])
line = json.loads(model.read_text())
errors = [
    abs(line["slope"] * float(row["temperature"]) + line["intercept"] - float(row["sales"]))
    for row in csv.DictReader(file.read_text().splitlines())
]
(target / f"{file.stem}.txt").write_text(f"mean error {sum(errors) / len(errors):.1f}\n")
