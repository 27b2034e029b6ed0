"""Fits a straight line to all measurements by least squares and writes it as a model."""

import csv
import json
import sys
from pathlib import Path

source, target = map(Path, sys.argv[1:])
points = [
    (float(row["temperature"]), float(row["sales"]))
    for file in sorted(source.glob("*.csv"))
    for row in csv.DictReader(file.read_text().splitlines())
]
mean_x = sum(x for x, _ in points) / len(points)
mean_y = sum(y for _, y in points) / len(points)
slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
model = {"slope": round(slope, 3), "intercept": round(mean_y - slope * mean_x, 3), "points": len(points)}
(target / "model.json").write_text(json.dumps(model) + "\n")
