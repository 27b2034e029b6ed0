"""The launcher by itself: its own tests, and what of it must not depend on the machine."""

from __future__ import annotations

import os
import subprocess

import pytest
from worker_processes import ROOT, find_go


def go(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [find_go(), "-C", ROOT / "launcher", *arguments]
    environment = os.environ | {"GOTOOLCHAIN": "local", "GOWORK": "off"} | variables
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_its_own_tests_pass():
    tested = go("test", "-count=1", "./...")

    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_it_is_formatted_and_without_what_vet_finds():
    vetted = go("vet", "./...")
    formatted = go("fmt", "-n", "./...")

    assert vetted.returncode == 0, vetted.stderr
    gofmt = formatted.stdout.split(" ")[0]
    listed = subprocess.run([gofmt, "-l", ROOT / "launcher"], capture_output=True, text=True, check=True)
    assert listed.stdout == ""


@pytest.mark.parametrize(("architecture", "machine"), [("amd64", 62), ("arm64", 183)])
def test_it_is_one_static_program_for_each_architecture(tmp_path, architecture, machine):
    """ELF: the machine is at byte 18; a program header of type 3 would name a dynamic linker."""
    find_go()
    binary = tmp_path / "launcher"

    subprocess.run([ROOT / "scripts/launcher", architecture, binary], check=True)

    elf = binary.read_bytes()
    assert int.from_bytes(elf[18:20], "little") == machine
    start, size, count = (int.from_bytes(elf[at : at + 2], "little") for at in (32, 54, 56))
    types = [int.from_bytes(elf[at : at + 4], "little") for at in range(start, start + size * count, size)]
    assert 1 in types
    assert 3 not in types


def test_it_depends_on_nothing():
    listed = go("list", "-m", "all")

    assert listed.stdout.split() == ["launcher"]


def test_an_architecture_that_is_not_built_is_refused(tmp_path):
    tried = subprocess.run(
        [ROOT / "scripts/launcher", "mips", tmp_path / "launcher"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert tried.returncode == 1
    assert tried.stderr == "launcher: the launcher cannot be built for mips; choose amd64 or arm64\n"
