"""Every block of every page is run, or says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handbook_page import ROOT, check_block, pages, read_page
from page_runner import Run

if TYPE_CHECKING:
    from pathlib import Path

#: The page whose blocks the usual tier runs too.
README = ROOT / "README.md"
#: Of all blocks that do something, at most this share may be excused.
EXCUSED = 0.05


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


# Continuous integration runs them all: scripts/docs test.
OTHERS = [
    pytest.param(path, marks=[pytest.mark.slow, pytest.mark.timeout(600)], id=name(path))
    for path in pages()
    if path != README and read_page(path).blocks
]


@pytest.mark.parametrize("path", [pytest.param(README, id=name(README)), *OTHERS])
def test_the_blocks_of_a_page_do_what_it_says(path: Path, tmp_path: Path) -> None:
    Run(read_page(path), tmp_path / "page").run()


def test_every_block_is_executed_or_excused_and_few_are_excused(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = [block for path in pages() for block in read_page(path).blocks]

    for block in blocks:
        check_block(block)
    active = [block for block in blocks if block.does_something]
    excused = [block for block in active if block.excuse]

    with capsys.disabled():
        print(f"\n{len(blocks)} blocks: {len(active) - len(excused)} run, {len(excused)} excused")
        for block in excused:
            print(f"  {block.place}: {block.excuse}")
    assert len(excused) <= EXCUSED * len(active)


def test_every_example_is_listed_in_the_index_of_pages() -> None:
    index = (ROOT / "docs/README.md").read_text()

    examples = [path.parent.name for path in ROOT.glob("examples/*/README.md")]

    assert len(examples) > 5
    assert [example for example in examples if f"examples/{example}/README.md" not in index] == []


def test_blocks_that_a_test_runs_are_read_by_it_from_the_page_or_its_source() -> None:
    tests = {block.run_by for path in pages() for block in read_page(path).blocks if block.run_by}

    # The examples on the pages of commands come from the commands, and so does what their test runs.
    reading = ("(__file__", "load(name).examples")
    unread = [test for test in tests if not any(words in (ROOT / test).read_text() for words in reading)]
    assert unread == []
