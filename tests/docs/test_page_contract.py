"""A page that is not written as the contract says fails: no block is left out by mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handbook_page import ROOT, PageError, check_block, read_page
from page_runner import BlockFailed, Run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page in a folder of its own."""
    monkeypatch.setattr("handbook_page.ROOT", tmp_path)
    return tmp_path / "page.md"


def run(page: Path, text: str, folder: Path, *, update: bool = False) -> Run:
    page.write_text(text)
    run = Run(read_page(page), folder, update=update)
    run.run()
    return run


@pytest.mark.parametrize(
    "text",
    [
        "```\ntrue\n```\n",  # no language
        "```sh title\ntrue\n```\n",  # more than one word
        "```sh\ntrue\n",  # not closed
        "<!-- exits: 3 -->\n```sh\ntrue\n```\n",  # an unknown key
        "<!-- not run: -->\n```sh\ntrue\n```\n",  # an excuse without a reason
        "```ruby\nexit\n```\n",  # nothing runs it
        "```text\n$ true\n```\n",  # a command that would not run
        "---\nworld: moon\n---\n",
    ],
)
def test_a_block_that_would_not_run_is_an_error(page: Path, text: str) -> None:
    page.write_text(text)

    with pytest.raises(PageError):
        [check_block(block) for block in read_page(page).blocks]


@pytest.mark.parametrize(
    "text",
    [
        "```sh\nfalse\ntrue\n```\n",
        "```console\n$ echo one\ntwo\n```\n",
        "```console\n$ echo unexpected\n```\n",
        "```console\n$ false\n```\n",
        "<!-- exit: 3 -->\n```console\n$ true\n```\n",
        "```sh\necho one\n```\n\n<!-- output -->\n```text\ntwo\n```\n",
        "```yaml\npipeline: {name: x}\nnonsense: 1\n```\n",
        "<!-- as: data -->\n```json\n{]\n```\n",
    ],
)
def test_a_block_that_does_something_else_than_the_page_says_fails(
    page: Path, text: str, tmp_path: Path
) -> None:
    with pytest.raises(BlockFailed):
        run(page, text, tmp_path / "run")


STORY = """
```sh
mkdir folder
cd folder
name=value
```

<!-- file: folder/note.txt -->
```text
written
```

<!-- exit: 3 -->
```console
$ cat note.txt
written
$ echo "$name" &&
> pwd
value
~/work/folder
$ (exit 3)
```

<!-- terminal: other -->
```console
$ echo ready; sleep 1000
ready
^C
```
"""


def test_a_page_is_one_story_in_one_home(page: Path, tmp_path: Path) -> None:
    done = run(page, STORY, tmp_path / "run")

    assert len(done.seconds) == 4


def test_an_update_writes_what_commands_print(page: Path, tmp_path: Path) -> None:
    text = "1. Step\n\n    ```console\n    $ echo one; echo two\n    wrong\n    $ true\n    ```\n"

    done = run(page, text, tmp_path / "run", update=True)

    assert list(done.updates.values()) == ["$ echo one; echo two\none\ntwo\n$ true\n"]
    assert not done.page.path.is_relative_to(ROOT)


WAIT = """
```console
$ echo 2026-11-26T09:00:00.000Z INFO begun
$ echo "waiting for commit count@master"
$ echo "count@master: 1 of 2 jobs have ended; total running, 0 of 1 datums, 2.5 datums/s, about 3 s left"
$ echo "count@: running, 1,005 of 2,000 datums"
$ echo done
done
```
"""


def test_lines_that_come_only_on_a_slow_machine_are_not_compared(page: Path, tmp_path: Path) -> None:
    done = run(page, WAIT, tmp_path / "run")

    assert len(done.seconds) == 1
