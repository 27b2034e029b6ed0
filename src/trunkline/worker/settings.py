"""What a worker process is told at its start, all of it by environment variables.

Not by arguments, because everyone on the machine can read those. The variables are taken out of the
environment here, and commands are given one that is built anew (``environment.py``), so the token stays
with the worker. The process fleet sets them (``drivers/fleets/process.py``), and the pod of a worker; a test
keeps both in step.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from trunkline.errors import InvalidArgument
from trunkline.worker.root import LaidFile

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_PREFIX = "TRUNKLINE_"


class Image(NamedTuple):
    """The image environment commands run in."""

    name: str
    #: False: nobody provided the image, and commands run on the machine's own tools.
    known: bool = False
    #: Folder of the virtual environment; empty when the environment needs none.
    venv: str = ""
    files: tuple[LaidFile, ...] = ()


class Settings(NamedTuple):
    """The parameters of one worker process."""

    server: str
    worker_id: str
    token: str
    #: Folder of this worker alone, for the files of datums; whoever starts workers removes it.
    scratch: str
    image: Image
    #: Process that started the worker and without which it must not live; 0 for none.
    parent: int = 0
    #: Bytes of memory the worker has asked for.
    memory: int = 0
    #: Whether to try for a private root.
    namespaces: bool = True
    #: Socket of the launcher that starts commands; empty when the worker starts them itself.
    launcher: str = ""
    #: Seconds after SIGTERM in which the worker must be gone.
    grace: float = 60.0


def take(environ: MutableMapping[str, str]) -> Settings:
    """Read the settings and remove them from ``environ``.

    Raises:
        InvalidArgument: a variable is missing.
    """
    given = {name: environ.pop(name) for name in list(environ) if name.startswith(_PREFIX)}

    def need(name: str) -> str:
        try:
            return given[_PREFIX + name]
        except KeyError:
            raise InvalidArgument(
                f"the worker was started without {_PREFIX}{name}; workers are started by "
                f'"trunkline serve", not by hand'
            ) from None

    return Settings(
        server=need("SERVER"),
        worker_id=need("WORKER_ID"),
        token=need("WORKER_TOKEN"),
        scratch=need("SCRATCH"),
        image=_read_image(given.get(_PREFIX + "IMAGE", ""), given.get(_PREFIX + "IMAGE_DESCRIPTION", "")),
        parent=int(given.get(_PREFIX + "PARENT", "0")),
        memory=int(given.get(_PREFIX + "MEMORY", "0")),
        namespaces=given.get(_PREFIX + "NO_NAMESPACES", "") in ("", "0"),
        launcher=given.get(_PREFIX + "LAUNCHER", ""),
        grace=float(given.get(_PREFIX + "GRACE") or Settings._field_defaults["grace"]),
    )


def _read_image(name: str, description: str) -> Image:
    if not description:
        return Image(name=name)
    import json  # 5 ms that a worker without an image does not need

    with open(description, encoding="utf-8") as file:
        content = json.load(file)
    return Image(
        name=name,
        known=True,
        venv=content["venv"] or "",
        files=tuple(
            LaidFile(os.fspath(entry["path"]), os.fspath(entry["source"]), int(entry["mode"]))
            for entry in content["files"]
        ),
    )
