"""The console draws every state."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trunkline.model.states import CommitState, DatumState, JobState, PipelineState, WorkerState

STATES = Path(__file__).parents[2] / "console/src/lib/states.ts"


@pytest.mark.parametrize(
    ("kind", "states"),
    [
        ("commit", CommitState),
        ("job", JobState),
        ("datum", DatumState),
        ("worker", WorkerState),
        ("pipeline", PipelineState),
    ],
)
def test_every_state_has_a_mark_in_the_console(kind, states):
    part = re.search(rf"^  {kind}: \{{(.*?)^  \}},", STATES.read_text(encoding="utf-8"), re.M | re.S)

    marks = set(re.findall(r"^    (\w+): ", part[1], re.M))

    assert {state.value.upper() for state in states} <= marks
