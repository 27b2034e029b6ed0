"""The colours of states are the same everywhere."""

import re
from pathlib import Path

from trunkline.cli import state_colours
from trunkline.cli.drawing import svg
from trunkline.model import states

CONSOLE = Path(__file__).parents[2] / "console/src/lib"


def test_each_state_has_a_role():
    kinds = (states.JobState, states.PipelineState, states.DatumState, states.WorkerState)

    words = {state.lower() for kind in kinds for state in kind}

    assert words - state_colours.ROLES.keys() == set()


def test_a_word_has_the_role_that_the_console_gives_it():
    """A word that several kinds of things have may have any of their roles."""
    source = (CONSOLE / "states.ts").read_text()
    console = {}
    for role, word in re.findall(r'role: "(\w+)", shape: "\w+", word: "([\w ]+)"', source):
        console.setdefault(word, set()).add(role)

    assert len(console) > 20
    differing = {
        word: (role, console[word])
        for word, role in state_colours.ROLES.items()
        if word in console and role not in console[word]
    }
    assert differing == {}


def test_drawings_have_the_colours_of_the_console():
    source = (CONSOLE / "tokens.ts").read_text()

    light, dark = (
        dict(re.findall(r'(\w+): "(#\w{6})"', part))
        for part in re.findall(r"  (?:light|dark): \{(.*?)\}", source, re.S)
    )

    for theme, colours in (("light", light), ("dark", dark)):
        style = re.search("<style>(.*)</style>", svg.draw([], [], theme=theme)).group(1)
        fills = dict(re.findall(r"\.(good|active|wait|bad|neutral)\{fill:(#\w{6})\}", style))
        assert fills == {role: colours[role] for role in ("good", "active", "wait", "bad", "neutral")}
