"""What a program was built from, as a wheel and a clone say it."""

from __future__ import annotations

import importlib.util
import shutil

import pytest

from trunkline import build_info

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DATE = "2026-11-26T22:30:00Z"


@pytest.fixture
def read(tmp_path):
    """Return a function that reads commit and date of a package with the given files beside and in it."""

    def read(files):
        package = tmp_path / "src" / "trunkline"
        package.mkdir(parents=True)
        module = shutil.copy(build_info.__file__, package)
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(f"{text}\n")
        spec = importlib.util.spec_from_file_location("copied_build_info", module)
        copied = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(copied)
        return copied.build_commit(), copied.build_date()

    return read


def test_a_wheel_names_its_commit_and_its_date(read):
    assert read({"src/trunkline/BUILD": f"{DATE} {COMMIT}"}) == (COMMIT[:12], DATE)


def test_a_wheel_without_a_commit_does_not_take_that_of_a_clone_around_it(read):
    assert read({"src/trunkline/BUILD": DATE, ".git/HEAD": COMMIT}) == ("", DATE)


@pytest.mark.parametrize(
    "files",
    [
        {".git/HEAD": COMMIT},
        {".git/HEAD": "ref: refs/heads/main", ".git/refs/heads/main": COMMIT},
        {".git/HEAD": "ref: refs/heads/main", ".git/packed-refs": f"# pack-refs\n{COMMIT} refs/heads/main"},
    ],
)
def test_a_clone_names_its_commit_and_no_date(read, files):
    assert read(files) == (COMMIT[:12], "")


def test_neither_is_known_outside_of_wheels_and_clones(read):
    assert read({}) == ("", "")
