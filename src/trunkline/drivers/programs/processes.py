"""Starts a process for each call with a program, and ends it with the call.

The reasons are in docs/design/decisions/0068-programs-of-clients.md.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from trunkline import errors
from trunkline.drivers.programs import helper
from trunkline.model import limits, outbound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trunkline.ports import Outbound

_HELPER = str(Path(helper.__file__))
#: What jsonnet says of a function whose argument is left out.
_MISSING = re.compile(r"Missing argument: (\w+)")
#: Processes at the same time; most wait for their client to read.
_PROCESSES = 64
#: Programs that compute at the same time.
_COMPUTING = 4
#: Seconds that a program waits for its turn.
_TURN = 10.0
#: Seconds that one request may take, in case that a loaded machine gives a program little time.
_PATIENCE = 10.0
#: Bytes of a reply: a rendered template, in which each character may be escaped.
_REPLY = 8 * helper.OUTPUT


class ProgramProcesses:
    """Runs programs of clients in processes.

    Args:
        outbound: fetches what templates import.
    """

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._places = threading.BoundedSemaphore(_PROCESSES)
        self._turns = threading.BoundedSemaphore(_COMPUTING)

    @contextmanager
    def filter(self, expression: str) -> Iterator[Callable[[Sequence[str]], Sequence[bool]]]:
        """See ``ports.Programs``."""
        limits.check_text(expression, limits.PROGRAM, "the jq filter")
        with self._started("jq", "the jq filter", {"jq": expression}) as (process, _):
            yield lambda messages: process.ask(messages)["passes"]

    def render(self, template: str, arguments: Mapping[str, str]) -> str:
        """See ``ports.Programs``."""
        limits.check_text(template, limits.PROGRAM, "the template")
        for name, value in arguments.items():
            limits.check_text(name + value, limits.PROGRAM, "an argument of the template")
        request = {"jsonnet": template, "arguments": dict(arguments)}
        with self._started("_gojsonnet", "the template", request) as (_, reply):
            return str(reply["json"])

    @contextmanager
    def _started(self, library: str, what: str, request: object) -> Iterator[tuple[_Process, Any]]:
        """Start a process; yield it and the reply to its first request."""
        module = find_spec(library)
        if module is None or module.origin is None:
            raise errors.Unimplemented(
                f"{what} needs a library that this server does not have; install trunkline[jsonnet]"
            )
        if not self._places.acquire(blocking=False):
            raise _too_many()
        try:
            imports = _Imports(self._outbound)
            with _Process(str(Path(module.origin).parent), what, self._turns, imports) as process:
                yield process, process.ask(request)
        finally:
            self._places.release()


def _too_many() -> errors.ResourceExhausted:
    return errors.ResourceExhausted("too many filters and templates run at the same time; try again")


class _Imports:
    """What one template imports, from URLs alone."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._count = 0

    def fetch(self, folder: str, name: str) -> tuple[str, str]:
        """Return the URL of an import and its content.

        Args:
            folder: of the URL of what imports it; empty for the template.
            name: as it is written, which may be relative.

        Raises:
            InvalidArgument: it is not a URL of the web, too long, or there are too many.
            TrunklineError: as of ``ports.Outbound.read``.
        """
        url = urljoin(folder, name)
        if not url.startswith(("http://", "https://")):
            raise errors.InvalidArgument(f"the template imports {name!r}; imports must be http or https URLs")
        self._count += 1
        limits.check_count(self._count, limits.IMPORTS, "the template", "import fewer files")
        data = b""
        with self._outbound.turn(), contextlib.closing(self._outbound.read(url)) as pieces:
            for piece in pieces:
                data += piece
                limits.check_count(
                    len(data), limits.PROGRAM, f"the import {outbound.display(url)}", "shorten it"
                )
        try:
            return url, data.decode()
        except UnicodeDecodeError as error:
            raise errors.InvalidArgument(
                f"the import {outbound.display(url)} is not UTF-8 text; convert it"
            ) from error


class _Process:
    """A process that runs one program."""

    def __init__(
        self, libraries: str, what: str, turns: threading.BoundedSemaphore, imports: _Imports
    ) -> None:
        """Start it.

        Args:
            libraries: folder of the libraries.
            what: the program, for messages.
            turns: limits the processes that compute at the same time.
            imports: what it may import.
        """
        self._imports = imports
        self._what = what
        self._turns = turns
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", _HELPER, libraries],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
        )

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, request: object) -> Any:
        """Send a request and return its reply.

        Raises:
            InvalidArgument: the program is not valid, or fails.
            ResourceExhausted: it needs too much time or memory, or too many programs compute.
            TrunklineError: an import cannot be fetched.
        """
        while True:
            reply = self._in_turn(request)
            if "error" in reply:
                raise self._failed(" ".join(reply["error"].split()))
            if "import" not in reply:
                return reply
            path, content = self._imports.fetch(*reply["import"])  # others compute meanwhile
            request = {"path": path, "content": content}

    def _failed(self, error: str) -> errors.InvalidArgument:
        missing = _MISSING.search(error)
        if missing is None:
            return errors.InvalidArgument(f"{self._what} cannot be run: {error}; correct it")
        return errors.InvalidArgument(
            f'{self._what} needs the argument "{missing[1]}"; add it, as --arg {missing[1]}=VALUE on the command line'
        )

    def _in_turn(self, request: object) -> Any:
        if not self._turns.acquire(timeout=_TURN):
            raise _too_many()
        try:
            return self._answer(request)
        finally:
            self._turns.release()

    def _answer(self, request: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watch = threading.Timer(_PATIENCE, self._process.kill)
        watch.start()
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline(_REPLY)
        except BrokenPipeError:
            line = b""
        finally:
            watch.cancel()
        if not line.endswith(b"\n"):
            raise errors.ResourceExhausted(
                f"{self._what} needs more than {helper.TIME:g} s of processor time or too much memory; simplify it"
            )
        return json.loads(line)
