"""Runs a page as one story: its blocks in order, in one new home and folder, against one server.

    python tests/docs/page_runner.py [--update] PAGE…

``--update`` writes what commands print into the page where it differs. The page's first failure ends it, because what
follows builds on what went before.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import jsonschema
import outputs
import yaml
from handbook_page import ROOT, Block, Page, PageError, check_block, pages, read_page
from ports import reserved_port
from shells import Shell, ShellError

from trunkline.errors import TrunklineError
from trunkline.model import spec_rules
from trunkline.model.spec_text import parse_specs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds for one command, or for what a program that goes on is to print, unless the block says another limit.
LIMIT = 90.0
#: Seconds without a new line after which such a program has said what it has to say, for updates.
_QUIET = 0.5
#: What a server logs depends on the machine, and whether a command says that it still waits on its speed: pages show
#: neither.
_LOG_LINE = re.compile(
    r"^(?:\d{4}-\d\d-\d\dT\S+Z (?:INFO|DEBUG) |waiting for "
    r"|\S+: (?:\d+ of \d+ jobs have ended|[a-z]+, [\d,]+ of [\d,]+ datums)).*\n?",
    re.MULTILINE,
)
#: The port that pages name. Each run has another one, so that pages can run side by side.
PORT = "30650"
#: What a page shows for the reader's home; the working folder is in it.
HOME = "~"
#: Folders of a clone that pages use.
_CLONE = ("charts", "deploy", "examples")
#: How YAML and JSON are read: as anything, as some fields of a spec, as a spec, as values of the chart.
_READINGS = ("data", "fields", "spec", "values")
#: What every spec needs, for blocks that show some of its fields.
_NEEDED = {
    "pipeline": {"name": "example"},
    "transform": {"cmd": ["true"]},
    "input": {"pfs": {"repo": "repo", "glob": "/*"}},
}
#: Variables that a page's commands inherit: where packages come from, and where Python keeps compiled modules.
_INHERITED = re.compile(
    r"PIP_|UV_|PYTHONPYCACHEPREFIX$|PYTHONDONTWRITEBYTECODE$|(?i:https?_proxy|no_proxy)$|SSL_CERT"
)


class BlockFailed(Exception):
    """A block does not do what the page says."""

    def __init__(self, block: Block, sentence: str, output: str = "") -> None:
        visible = "".join(f"    {line}\n" for line in output.rstrip().split("\n")) if output.strip() else ""
        super().__init__(f"{block.place}: {sentence}\n{visible}".rstrip())


@dataclass(frozen=True)
class Command:
    """One command of a console block, and the lines that the page shows behind it."""

    text: str
    expected: str


def commands(block: Block) -> list[Command]:
    """Return the commands of a console block.

    Raises:
        PageError: it does not begin with a command.
    """
    commands: list[tuple[list[str], list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ ") or line == "^C":
            commands.append(([line.removeprefix("$ ")], []))
        elif not commands:
            raise PageError(f"{block.place}: a console block begins with a command: $ and a blank")
        elif line.startswith("> ") and not commands[-1][1]:
            commands[-1][0].append(line[2:])
        elif line == ">" and not commands[-1][1]:
            commands[-1][0].append("")
        else:
            commands[-1][1].append(line)
    return [Command("\n".join(text), "\n".join(expected)) for text, expected in commands]


class Run:
    """One run of a page."""

    def __init__(self, page: Page, folder: Path, *, update: bool = False, programs: str = "") -> None:
        """Prepare the reader's home.

        Args:
            page: to run.
            folder: an empty folder for everything.
            update: whether outputs that differ are noted instead of failing.
            programs: a folder whose programs come before those of this environment.
        """
        self.page = page
        self._folder = folder
        self._update = update
        self.home = folder / "home"
        self.work = self.home / "work"
        self.work.mkdir(parents=True)
        self._port = ""  # while it runs
        self._shells: dict[str, Shell] = {}
        self._last_output = ""
        #: Seconds that each block took, by its line.
        self.seconds: dict[int, float] = {}
        #: New texts of blocks, by their line.
        self.updates: dict[int, str] = {}
        if page.clone:
            for name in _CLONE:
                if (ROOT / name).exists():
                    subprocess.run(["cp", "-r", str(ROOT / name), str(self.work)], check=True)
        self.environment = self._variables(programs)

    def _variables(self, programs: str) -> dict[str, str]:
        tools = self._folder / "bin"
        tools.mkdir()
        for name in ("python", "python3"):
            _write_program(tools / name, f'exec "{sys.executable}" "$@"')
        _write_program(tools / "trunkline", f'exec "{sys.executable}" -m trunkline.cli "$@"')
        return {name: value for name, value in os.environ.items() if _INHERITED.match(name)} | {
            "PATH": os.pathsep.join(filter(None, [programs, str(tools), os.environ["PATH"]])),
            "HOME": str(self.home),
            "USER": "you",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "TERM": "xterm",
            "COLUMNS": "80",
            "NO_COLOR": "1",
            # The order of lines on both streams is that of a terminal.
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(_new_folder(self._folder / "tmp")),
        }

    def run(self, at_end: Callable[[str], None] | None = None) -> None:
        """Run all blocks.

        Args:
            at_end: called with the address of the server while it still runs.

        Raises:
            BlockFailed: a block does not do what the page says.
            PageError: a block is not written as the contract says.
        """
        with ExitStack() as stack:
            self._port = str(stack.enter_context(reserved_port()))
            if self.page.world in ("server", "browser"):
                stack.enter_context(self._server())
            else:
                self.environment["PACHD_ADDRESS"] = f"127.0.0.1:{self._port}"
            stack.callback(self._close)
            for block, following in zip_longest(self.page.blocks, self.page.blocks[1:]):
                check_block(block)
                if not block.excuse and not block.run_by:
                    begin = time.monotonic()
                    self._run(block, following)
                    self.seconds[block.line] = time.monotonic() - begin
            if at_end:
                at_end(f"127.0.0.1:{self._port}")

    @contextmanager
    def _server(self) -> Iterator[None]:
        address = f"127.0.0.1:{self._port}"
        configuration = self.home / ".config/trunkline/config.json"
        configuration.parent.mkdir(parents=True)
        contexts = {"local": {"address": address, "project": "default"}}
        configuration.write_text(json.dumps({"active_context": "local", "contexts": contexts}))
        program = [str(self._folder / "bin/trunkline"), "serve", "--listen", address, *self.page.serve]
        with (
            (self._folder / "server.log").open("w") as log,
            subprocess.Popen(
                [*program, "--data", str(self._folder / "data")],
                env=self.environment,
                cwd=self.home,
                stdout=subprocess.PIPE,
                stderr=log,
            ) as server,
        ):
            try:
                assert server.stdout
                if not server.stdout.readline():
                    raise PageError(f"no server: {(self._folder / 'server.log').read_text()}")
                yield
            finally:
                server.terminate()
                server.wait(60)

    def _close(self) -> None:
        for shell in self._shells.values():
            shell.close()

    def _shell(self, name: str) -> Shell:
        if name not in self._shells:
            self._shells[name] = Shell(
                self._folder / f"terminal-{name}", self.work, self.environment, terminal=bool(name)
            )
        return self._shells[name]

    def _run(self, block: Block, following: Block | None) -> None:
        if "output" in block.settings:
            self._compare(block)
            return
        if "file" in block.settings:
            target = self.work / block.settings["file"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(self._inward(block.text))
        if block.language in ("yaml", "json"):
            _read(block)
        elif "file" in block.settings:
            return
        elif block.language == "console":
            self._console(block)
        elif block.language == "sh":
            self._execute(block, following, block.text)
        elif block.language == "python":
            script = self._folder / f"block-{block.line}.py"
            script.write_text(self._inward(block.text))
            self._execute(block, following, f'python "{script}"')

    def _execute(self, block: Block, following: Block | None, code: str) -> None:
        """Run a program in the block's terminal."""
        terminal = block.settings.get("terminal", "")
        exit_code = int(block.settings.get("exit", 0))
        shell = self._shell(terminal)
        both = following is not None and following.settings.get("output") == "both"
        try:
            shell.start(self._inward(code), strict=not exit_code, apart=not both and not terminal)
            until = (lambda text: bool(self._outward(text).strip())) if terminal else None
            status = shell.wait(_limit(block), until)
        except ShellError as error:
            raise BlockFailed(block, str(error), self._outward(shell.output() + shell.errors())) from error
        self._last_output = self._outward(shell.output())
        if status not in (None, exit_code):
            raise BlockFailed(block, f"exit code {status}, not {exit_code}", self._last_output)

    def _console(self, block: Block) -> None:
        texts = []
        limit = _limit(block)
        terminal = block.settings.get("terminal", "")
        exit_codes = [0] * len(commands(block))
        exit_codes[-1] = int(block.settings.get("exit", 0))
        for command, exit_code in zip(commands(block), exit_codes, strict=True):
            shell = self._shell(terminal)
            try:
                if command.text == "^C":
                    shell.interrupt()
                    status = shell.wait(limit)
                else:
                    shell.start(self._inward(command.text))
                    until = self._until(command) if terminal else None
                    status = shell.wait(limit, until)
            except ShellError as error:
                raise BlockFailed(
                    block, f"$ {command.text}\n    {error}", self._outward(shell.output())
                ) from error
            output = self._outward(shell.output())
            if status not in (None, exit_code) and command.text != "^C":
                raise BlockFailed(
                    block, f"$ {command.text}\n    exit code {status}, not {exit_code}:", output
                )
            texts.append(self._compared(block, command, output, so_far=status is None))
        self._last_output = output
        if "".join(texts) != block.text:
            self.updates[block.line] = "".join(texts)

    def _until(self, command: Command) -> Callable[[str], bool]:
        """Return whether a program that goes on has printed what the page shows of it."""
        begin, length = time.monotonic(), 0

        def is_complete(text: str) -> bool:
            nonlocal begin, length
            text = self._outward(text)
            if len(text) != length:
                begin, length = time.monotonic(), len(text)
            quiet = self._update and time.monotonic() - begin > _QUIET
            return bool(text.strip()) and (quiet or outputs.matches(command.expected, text, so_far=True))

        return is_complete

    def _compared(self, block: Block, command: Command, output: str, *, so_far: bool) -> str:
        """Return the command with the output that the page is to show."""
        if outputs.matches(command.expected, output, so_far=so_far):
            visible = command.expected
        elif self._update:
            visible = output.rstrip("\n")
        else:
            on_page = command.expected or "(nothing)"
            sentence = f"$ {command.text}\n  the page shows\n{on_page}\n  the command printed"
            raise BlockFailed(block, sentence, output or "(nothing)")
        prompt = command.text if command.text == "^C" else "$ " + command.text.replace("\n", "\n> ")
        return "".join(f"{line}\n" for line in (prompt, *([visible] if visible else ())))

    def _compare(self, block: Block) -> None:
        """Compare what the block before it wrote with what this one shows."""
        output = self._last_output
        if not outputs.matches(block.text, output):
            if not self._update:
                raise BlockFailed(block, "the block before it printed", output or "(nothing)")
            self.updates[block.line] = output.rstrip("\n") + "\n"

    def _inward(self, text: str) -> str:
        """Return code of the page as it is run: with this run's port."""
        address = f"127.0.0.1:{PORT}"
        text = re.sub(
            r"^(.*\btrunkline serve\b(?!.*--listen|.*--help)[^|&>\n]*)",
            rf"\1 --listen {address} ",
            text,
            flags=re.M,
        )
        return text.replace(PORT, self._port)

    def _outward(self, text: str) -> str:
        """Return what this run printed as the page shows it."""
        text = _LOG_LINE.sub("", text)
        return text.replace(self._port, PORT).replace(str(self.home), HOME).replace(str(self._folder), "/tmp")


def _limit(block: Block) -> float:
    """Return the seconds that each command of a block may take."""
    return float(block.settings.get("limit", LIMIT))


def _read(block: Block) -> None:
    """Check a YAML or JSON block by the reader of specs, or as its comment says.

    Raises:
        PageError: the comment names no way to read it.
        BlockFailed: it is not valid.
    """
    reading = block.settings.get("as", "spec")
    try:
        if reading == "data":
            _data(block)
        elif reading == "values":
            schema = json.loads((ROOT / "charts/trunkline/values.schema.json").read_text())
            for document in _data(block):
                jsonschema.Draft7Validator(schema).validate(document)
        elif reading in ("fields", "spec"):
            for document in parse_specs(block.text, block.place):
                spec_rules.load(document if reading == "spec" else _NEEDED | document)
        else:
            raise PageError(f"{block.place}: as {reading!r} is not one of {', '.join(_READINGS)}")
    except (TrunklineError, ValueError, yaml.YAMLError, jsonschema.ValidationError) as error:
        raise BlockFailed(block, str(error)) from error


def _data(block: Block) -> list[object]:
    return list(yaml.safe_load_all(block.text)) if block.language == "yaml" else [json.loads(block.text)]


def _write_program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def _new_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


def rewrite(page: Page, updates: dict[int, str]) -> None:
    """Write new texts of blocks into a page.

    Args:
        page: as it was read.
        updates: new texts by the line of the block.
    """
    lines = page.path.read_text().splitlines()
    for block in sorted(page.blocks, key=lambda block: -block.line):
        if block.line in updates:
            begin, count = block.line, len(block.text.splitlines())
            indent = " " * block.indent
            lines[begin : begin + count] = [
                f"{indent}{line}".rstrip() for line in updates[block.line].splitlines()
            ]
    page.path.write_text("\n".join(lines) + "\n")


def main(arguments: list[str]) -> int:
    """Run the pages named, or all; return the exit code."""
    update = "--update" in arguments
    named = [Path(argument).resolve() for argument in arguments if argument != "--update"]
    failed = 0
    for path in named or pages():
        begin = time.monotonic()
        try:
            page = read_page(path)
            with TemporaryDirectory(prefix="page-") as folder:
                run = Run(page, Path(folder), update=update)
                try:
                    run.run()
                finally:
                    if update and run.updates:
                        rewrite(page, run.updates)
            changed = f", {len(run.updates)} blocks rewritten" if run.updates else ""
            sys.stdout.write(
                f"{page.name}: ok ({len(run.seconds)} blocks, {time.monotonic() - begin:.1f} s{changed})\n"
            )
        except (BlockFailed, PageError) as error:
            failed += 1
            sys.stdout.write(f"{error}\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
