"""What a server prints when it is ready."""

from __future__ import annotations

import io
import json
from pathlib import Path

from trunkline.app.announcement import announce


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_programs_get_one_line_of_json() -> None:
    out = io.StringIO()

    announce(out, "127.0.0.1:30650", Path("/data"), trusted=Path("/data/ca.pem"))

    [line] = out.getvalue().splitlines()
    ready = json.loads(line)
    assert (ready["ready"], ready["grpc"], ready["tls"], ready["ca"]) == (
        True,
        "127.0.0.1:30650",
        True,
        "/data/ca.pem",
    )


def test_a_terminal_gets_the_address_of_the_console_and_how_to_stop() -> None:
    out = Terminal()

    announce(out, "127.0.0.1:30650", Path("/data"), trusted=None)

    assert "http://127.0.0.1:30650/ui/" in out.getvalue()
    assert "Ctrl-C" in out.getvalue()
    assert max(map(len, out.getvalue().splitlines())) <= 80


def test_a_unix_socket_has_no_address_for_browsers() -> None:
    out = Terminal()

    announce(out, "unix:/run/trunkline.sock", Path("/data"), trusted=None)

    assert "http" not in out.getvalue()
