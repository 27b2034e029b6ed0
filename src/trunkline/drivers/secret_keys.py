"""Loads the keys that seal secrets: from a file, an environment variable, or the output of a command (decision 88)."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import shlex
import subprocess
from pathlib import Path

from trunkline.errors import FailedPrecondition, InvalidArgument

#: Bytes of a key.
KEY = 32
#: Seconds for the command.
_PATIENCE = 30.0


def load(source: str, folder: Path) -> list[bytes]:
    """Return the keys, the current one first.

    Args:
        source: ``file:PATH``, ``env:NAME`` or ``command:LINE``; empty for a file in the folder, made when needed.
        folder: of the server's data.

    Raises:
        InvalidArgument: the source is not valid.
        FailedPrecondition: it gives no keys.
    """
    if not source:
        return _parsed(_own_file(folder / "secrets.key"), f"file:{folder / 'secrets.key'}")
    kind, _, place = source.partition(":")
    if kind not in ("file", "env", "command") or not place:
        raise InvalidArgument("--secrets-key is not valid; write file:PATH, env:NAME or command:LINE")
    if kind == "file":
        try:
            text = Path(place).read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise FailedPrecondition(
                f"--secrets-key {source} cannot be read: {error}; correct the file"
            ) from error
    elif kind == "env":
        text = os.environ.get(place, "")
    else:
        text = _output(place)
    return _parsed(text, source if kind != "command" else "command")


def _own_file(path: Path) -> str:
    """Return the content of the default file; makes it with a random key when it is missing."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return path.read_text("ascii")
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(base64.b64encode(secrets.token_bytes(KEY)).decode() + "\n")
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    return path.read_text("ascii")


def _output(line: str) -> str:
    try:
        ended = subprocess.run(
            shlex.split(line), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=_PATIENCE, check=True
        )
        return ended.stdout.decode("ascii")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        # Not the error's own text: it repeats the command, whose arguments may be secret.
        raise FailedPrecondition(
            f"the command of --secrets-key gives no key ({type(error).__name__}); run it by hand to see why"
        ) from error


def _parsed(text: str, source: str) -> list[bytes]:
    keys = []
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped:
            continue
        try:
            key = (
                bytes.fromhex(stripped)
                if len(stripped) == 2 * KEY
                else base64.b64decode(stripped, validate=True)
            )
        except (ValueError, binascii.Error):
            key = b""
        if len(key) != KEY:
            raise FailedPrecondition(
                f"line {number} of --secrets-key {source} is not a key of {KEY} bytes in base64 or hexadecimal"
                " digits; make one with: openssl rand -base64 32"
            )
        keys.append(key)
    if not keys:
        raise FailedPrecondition(
            f"--secrets-key {source} holds no key; make one with: openssl rand -base64 32"
        )
    return keys
