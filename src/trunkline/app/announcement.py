"""What ``trunkline serve`` prints when it is ready: one line of JSON for programs, a few lines on a terminal."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, TextIO

from trunkline import __version__
from trunkline.handbook_pages import address_of

if TYPE_CHECKING:
    from pathlib import Path


def announce(out: TextIO, address: str, data: Path, *, trusted: Path | None) -> None:
    """Print that a server is ready.

    Args:
        out: standard output.
        address: host and port, or ``unix:`` and a path.
        data: the data folder.
        trusted: file of the CA that clients need; None without TLS.
    """
    out.write((_for_people if out.isatty() else _for_programs)(address, data, trusted) + "\n")
    out.flush()


def _for_programs(address: str, data: Path, trusted: Path | None) -> str:
    ready: dict[str, object] = {
        "ready": True,
        "grpc": address,
        "version": __version__,
        "data": str(data),
        "pid": os.getpid(),
    }
    if trusted is not None:
        ready |= {"tls": True, "ca": str(trusted)}
    return json.dumps(ready)


def _for_people(address: str, data: Path, trusted: Path | None) -> str:
    lines = [f"Trunkline {__version__} is ready.", ""]
    if not address.startswith("unix:"):
        lines.append(f"  Console  http{'s' if trusted else ''}://{address}/ui/")
        lines.append(f"  Handbook {address_of(address, tls=trusted is not None)}")
    lines += [f"  API      {address} (gRPC, REST, Connect)", f"  Data     {data}"]
    if trusted is not None:
        lines.append(f"  CA       {trusted}")
    return "\n".join([*lines, "  Stop     Ctrl-C", ""])
