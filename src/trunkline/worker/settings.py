"""What a worker process is told at its start: environment variables, and its token.

Not by arguments, because everyone on the machine can read those. The variables are taken out of the
environment here, and commands are given one that is built anew (``environment.py``). The kernel shows a process's
first environment to others of its user, so the process fleet (``drivers/fleets/process.py``) writes the token to
the worker's standard input; in a pod it is in a file that the kubelet renews. A test keeps both sides in step.
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
    #: Proves that calls come from this worker; empty when ``token_file`` has it.
    token: str
    #: Folder of this worker alone, for the files of datums; whoever starts workers removes it.
    scratch: str
    image: Image
    #: File with the token, which somebody renews; empty when ``token`` is set.
    token_file: str = ""
    #: Process that started the worker and without which it must not live; 0 for none.
    parent: int = 0
    #: Bytes of memory the worker has asked for.
    memory: int = 0
    #: Bytes of memory that a command may use; 0 for no limit.
    memory_limit: int = 0
    #: What users should know about fields of the spec that have no effect.
    notes: tuple[str, ...] = ()
    #: Whether to try for a private root.
    namespaces: bool = True
    #: Socket of the launcher that starts commands; empty when the worker starts them itself.
    launcher: str = ""
    #: Folder that other users may enter, for what commands as another user need when there is no private
    #: root; not made yet. Whoever starts workers removes it.
    open_scratch: str = ""
    #: Folders of the host that commands must not see.
    hidden: tuple[str, ...] = ()
    #: What of them commands may read all the same: what they are run with.
    readable: tuple[str, ...] = ()
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

    token_file = given.get(_PREFIX + "WORKER_TOKEN_FILE", "")
    return Settings(
        server=need("SERVER"),
        worker_id=need("WORKER_ID"),
        token="" if token_file else given.get(_PREFIX + "WORKER_TOKEN") or _read_token(),
        scratch=need("SCRATCH"),
        image=_read_image(given.get(_PREFIX + "IMAGE", ""), given.get(_PREFIX + "IMAGE_DESCRIPTION", "")),
        token_file=token_file,
        parent=int(given.get(_PREFIX + "PARENT", "0")),
        memory=int(given.get(_PREFIX + "MEMORY", "0")),
        memory_limit=int(given.get(_PREFIX + "MEMORY_LIMIT", "0")),
        notes=tuple(given.get(_PREFIX + "NOTES", "").splitlines()),
        namespaces=given.get(_PREFIX + "NO_NAMESPACES", "") in ("", "0"),
        launcher=given.get(_PREFIX + "LAUNCHER", ""),
        open_scratch=given.get(_PREFIX + "OPEN_SCRATCH", ""),
        hidden=_paths(given.get(_PREFIX + "HIDDEN", "")),
        readable=_paths(given.get(_PREFIX + "READABLE", "")),
        grace=float(given.get(_PREFIX + "GRACE") or Settings._field_defaults["grace"]),
    )


def _paths(text: str) -> tuple[str, ...]:
    return tuple(path for path in text.split(os.pathsep) if path)


def _read_token() -> str:
    """Return what the fleet has written to standard input, and leave nothing to read there."""
    token = b""
    while part := os.read(0, 1024):
        token += part
    descriptor = os.open("/dev/null", os.O_RDONLY)
    os.dup2(descriptor, 0)
    os.close(descriptor)
    if not token:
        raise InvalidArgument(
            'the worker was given no token; workers are started by "trunkline serve", not by hand'
        )
    return token.decode("ascii")


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
