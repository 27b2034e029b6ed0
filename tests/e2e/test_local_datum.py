"""``run datum --local``: a datum of a spec without a pipeline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from servers import make_repo, put

from trunkline.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    from pachyderm_sdk import Client
    from servers import Server


class LocalRun:
    """Runs ``run datum`` with a spec."""

    def __init__(self, server: Server, folder: Path, script: str) -> None:
        self._server = server
        self._spec = folder / "spec.json"
        self.folder = folder / "run"
        document: dict[str, Any] = {
            "pipeline": {"name": "count"},
            "transform": {"cmd": ["sh"], "stdin": [script], "env": {"GREETING": "hello"}},
            "input": {"pfs": {"repo": "texts", "glob": "/*"}},
        }
        self._spec.write_text(json.dumps(document))

    def run(self, *options: str) -> int:
        words = ["run", "datum", "-f", str(self._spec), "--local", str(self.folder), *options]
        return main([*words, "--address", self._server.address])


@pytest.fixture
def texts(client: Client) -> Client:
    put(client, make_repo(client, "texts"), {"/a": b"1", "/b": b"to be"})
    return client


def test_a_datum_runs_as_in_a_worker_and_leaves_its_files_to_look_at(
    shared: Server, texts: Client, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    attempt = LocalRun(
        shared, tmp_path, 'echo "$GREETING"; wc -w < /pfs/texts/b > /pfs/out/words; cat "$texts"'
    )

    assert attempt.run("--path", "/b") == 0
    printed = capfd.readouterr()

    assert "hello\nto be" in printed.out
    assert "/words" in printed.out
    assert (attempt.folder / "pfs/out/words").read_text().strip() == "2"
    assert [path.name for path in (attempt.folder / "pfs/texts").iterdir()] == ["b"]
    assert list(texts.pps.list_pipeline()) == []


def test_a_command_that_fails_says_how(
    shared: Server, texts: Client, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    attempt = LocalRun(shared, tmp_path, "echo half > /pfs/out/half; exit 3")

    code = attempt.run()

    assert code == 7
    assert "exit code 3" in capfd.readouterr().err
    assert (attempt.folder / "pfs/out/half").exists()


def test_an_unknown_datum_and_a_folder_with_files_are_refused(
    shared: Server, texts: Client, tmp_path: Path
) -> None:
    attempt = LocalRun(shared, tmp_path, "true")

    absent = attempt.run("--path", "/none")
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "mine").write_text("x")

    assert (absent, attempt.run()) == (3, 2)
