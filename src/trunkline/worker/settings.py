"""The settings of a worker process: environment variables, and its token.

They are not arguments, because all users of the machine can read those. The variables are removed from the
environment here, and commands get one that is built anew (``environment.py``). The kernel shows a process's
initial environment to others of its user, so the process fleet (``drivers/fleets/process.py``) writes the token to
the worker's standard input; in a pod it is in a file that the kubelet renews. A test keeps both sides in step.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from trunkline.client.trust import SYSTEM, Trust
from trunkline.errors import InvalidArgument
from trunkline.worker.root import LaidFile

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

_PREFIX = "TRUNKLINE_"


class Image(NamedTuple):
    """The image environment commands run in."""

    name: str
    #: False: no image environment has this name, and commands use the machine's own tools.
    exists: bool = False
    #: Folder of the virtual environment; empty when the environment needs none.
    venv: str = ""
    files: tuple[LaidFile, ...] = ()


class Settings(NamedTuple):
    """The parameters of one worker process."""

    server: str
    worker_id: str
    #: Authenticates this worker's calls; empty when ``token_file`` has the token.
    token: str
    #: Folder of this worker alone, for the files of datums; the fleet removes it.
    scratch: str
    image: Image
    #: File with the token, which the kubelet renews; empty when ``token`` is set.
    token_file: str = ""
    #: Process that started the worker and whose end ends the worker; 0 for none.
    parent: int = 0
    #: Bytes of memory that the worker requests.
    memory: int = 0
    #: Bytes of memory that a command may use; 0 for no limit.
    memory_limit: int = 0
    #: Folder of the control group that limits the memory of commands; empty when the worker polls.
    command_group: str = ""
    #: Warnings about fields of the spec that have no effect.
    notes: tuple[str, ...] = ()
    #: Whether to try for a private root.
    namespaces: bool = True
    #: Socket of the launcher that starts commands; empty when the worker starts them itself.
    launcher: str = ""
    #: Folder of the host that the launcher's container has as /pfs, and the worker in its private root too; empty in
    #: a pod, whose volume is at /pfs already.
    shared: str = ""
    #: Folder that other users may enter, for the files of commands that run as another user without a private root;
    #: the worker creates it, the fleet removes it.
    open_scratch: str = ""
    #: Folders of the host that commands must not see.
    hidden: tuple[str, ...] = ()
    #: Exceptions in them that commands may read: the interpreter and its libraries.
    readable: tuple[str, ...] = ()
    #: Folders in which the command sees secrets.
    secret_folders: tuple[str, ...] = ()
    #: Folder whose folders 0, 1, … the launcher's container has at these paths; empty when the worker mounts them.
    secrets: str = ""
    #: Which servers are accepted over TLS.
    trust: Trust = SYSTEM
    #: Seconds after SIGTERM in which the worker must have ended.
    grace: float = 60.0


def load(environ: MutableMapping[str, str]) -> Settings:
    """Read the settings and remove them from ``environ``.

    Raises:
        InvalidArgument: a variable is missing.
    """
    variables = {name: environ.pop(name) for name in list(environ) if name.startswith(_PREFIX)}

    def need(name: str) -> str:
        try:
            return variables[_PREFIX + name]
        except KeyError:
            raise InvalidArgument(
                f"the worker was started without {_PREFIX}{name}; start workers with "
                f'"trunkline serve", not by hand'
            ) from None

    token_file = variables.get(_PREFIX + "WORKER_TOKEN_FILE", "")
    return Settings(
        server=need("SERVER"),
        trust=_trust(variables),
        worker_id=need("WORKER_ID"),
        token="" if token_file else variables.get(_PREFIX + "WORKER_TOKEN") or _read_token(),
        scratch=need("SCRATCH"),
        image=_read_image(
            variables.get(_PREFIX + "IMAGE", ""), variables.get(_PREFIX + "IMAGE_DESCRIPTION", "")
        ),
        token_file=token_file,
        parent=int(variables.get(_PREFIX + "PARENT", "0")),
        memory=int(variables.get(_PREFIX + "MEMORY", "0")),
        memory_limit=int(variables.get(_PREFIX + "MEMORY_LIMIT", "0")),
        command_group=variables.get(_PREFIX + "COMMAND_GROUP", ""),
        notes=tuple(variables.get(_PREFIX + "NOTES", "").splitlines()),
        namespaces=variables.get(_PREFIX + "NO_NAMESPACES", "") in ("", "0"),
        launcher=variables.get(_PREFIX + "LAUNCHER", ""),
        shared=variables.get(_PREFIX + "SHARED", ""),
        open_scratch=variables.get(_PREFIX + "OPEN_SCRATCH", ""),
        hidden=_paths(variables.get(_PREFIX + "HIDDEN", "")),
        readable=_paths(variables.get(_PREFIX + "READABLE", "")),
        secret_folders=_paths(variables.get(_PREFIX + "SECRET_FOLDERS", "")),
        secrets=variables.get(_PREFIX + "SECRETS", ""),
        grace=float(variables.get(_PREFIX + "GRACE") or Settings._field_defaults["grace"]),
    )


def _trust(variables: Mapping[str, str]) -> Trust:
    file = variables.get(_PREFIX + "SERVER_CA_FILE", "")
    return Trust(
        (file,) if file else (),
        variables.get(_PREFIX + "SERVER_CA", ""),
        variables.get(_PREFIX + "SERVER_NAME", ""),
    )


def _paths(text: str) -> tuple[str, ...]:
    return tuple(path for path in text.split(os.pathsep) if path)


def _read_token() -> str:
    """Return the token from standard input, and replace it by an empty one."""
    token = b""
    while part := os.read(0, 1024):
        token += part
    descriptor = os.open("/dev/null", os.O_RDONLY)
    os.dup2(descriptor, 0)
    os.close(descriptor)
    if not token:
        raise InvalidArgument('the worker has no token; start workers with "trunkline serve", not by hand')
    return token.decode("ascii")


def _read_image(name: str, description: str) -> Image:
    if not description:
        return Image(name=name)
    import json  # takes 5 ms, which a worker without an image does not need

    with open(description, encoding="utf-8") as file:
        content = json.load(file)
    return Image(
        name=name,
        exists=True,
        venv=content["venv"] or "",
        files=tuple(
            LaidFile(os.fspath(entry["path"]), os.fspath(entry["source"]), int(entry["mode"]))
            for entry in content["files"]
        ),
    )
