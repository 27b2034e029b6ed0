"""The private root: a file system that looks like the host's and belongs to one worker alone.

A tmpfs becomes ``/`` of a mount namespace of the worker's own. The host's top folders are bound in, its
top links recreated, ``/pfs`` added, and the files of the image environment laid over at their absolute
paths. Where such a file lies inside a folder of the host (``/usr/local/bin/x``), each folder on the way
becomes a real one in the tmpfs with its other entries bound in. So ``/pfs`` and ``/edges.py`` exist for
the command and for nobody else, and nothing is ever created on the host.

Why not an overlay file system: unprivileged ones are forbidden or broken on too many kernels. Why bind
mounts that follow the host ("slave") rather than private copies: what the host unmounts later must not
stay busy because a worker still holds it.

It imports no dataclasses, here and in the worker's other modules: they cost a tenth of its start-up.

Must not: run once a second thread exists (the kernel refuses user namespaces then), import anything
heavy, or leave a mount behind outside its namespace.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from trunkline.errors import FailedPrecondition
from trunkline.worker import files as fs
from trunkline.worker import libc

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Where commands find their data.
PFS = "/pfs"

#: Bytes of memory for small inputs and for what commands write beside the host's folders, if the worker
#: has not asked for more. Nothing is used before it is written.
_LEAST_MEMORY = 256 << 20

#: Folders that are to be made or bound below one folder: a file, a folder with more, or an empty folder.
_Layout = dict[str, "LaidFile | _Layout | None"]


class RootUnavailable(FailedPrecondition):
    """This machine does not let the worker have a private root."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"this machine does not let workers have a private root ({reason}); allow user namespaces, or "
            f"have commands read $PFS_ROOT instead of {PFS}"
        )
        #: What the kernel refused.
        self.reason = reason


class LaidFile(NamedTuple):
    """A file of an image environment."""

    #: Absolute path that commands see.
    path: str
    #: Where its bytes lie on the host.
    source: str
    #: Permission bits.
    mode: int


def enter(staging: str, files: Iterable[LaidFile], memory: int = 0, name: str = "trunkline") -> None:
    """Move this process into a private root; the current directory becomes ``/``.

    Args:
        staging: an empty folder of the host to build on; it stays empty.
        files: what to lay over the host's files; they are copied.
        memory: bytes that the worker has asked for; what is written to the root counts against them.
        name: what the root is called in the list of mounts, by which the fleet knows whose it is.

    Raises:
        RootUnavailable: namespaces or mounts are forbidden here; the process sees the host as before.
    """
    files = list(files)
    try:
        _unshare()
        libc.mount(None, "/", None, libc.MS_REC | libc.MS_SLAVE)
        size = max(_LEAST_MEMORY, memory) + sum(os.stat(file.source).st_size for file in files)
        libc.mount(name, staging, "tmpfs", 0, f"mode=755,size={size}")
        # Otherwise the recursive bind of the folder that holds `staging` would bring the tmpfs into itself.
        libc.mount(None, staging, None, libc.MS_UNBINDABLE)
    except OSError as error:
        raise RootUnavailable(error.strerror or str(error)) from error
    _lay("/", staging, _layout(files))
    os.chdir(staging)
    libc.pivot_root(".", ".")
    libc.umount(".", libc.MNT_DETACH)
    os.chdir("/")
    libc.mount(None, "/", None, libc.MS_PRIVATE)


def _unshare() -> None:
    if os.geteuid() == 0:
        try:
            libc.unshare(libc.CLONE_NEWNS)
        except PermissionError:
            pass  # root of a container without CAP_SYS_ADMIN: a user namespace may still be allowed
        else:
            return
    uid, gid = os.geteuid(), os.getegid()
    libc.unshare(libc.CLONE_NEWUSER | libc.CLONE_NEWNS)
    # The user stays who it is, so that commands see their own name and own what they write. The worker
    # keeps the right to mount in its namespace because it never executes another program itself.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _layout(files: list[LaidFile]) -> _Layout:
    layout: _Layout = {}
    for file in files:
        # /bin is a link to /usr/bin on most hosts: the file must land where the link leads.
        folder, name = os.path.split(file.path)
        here = layout
        for part in os.path.realpath(folder).split("/"):
            if part:
                deeper = here.setdefault(part, {})
                assert isinstance(deeper, dict), f"{file.path} lies below a file of the same image"
                here = deeper
        here[name] = file
    layout[PFS[1:]] = None
    return layout


def _lay(host: str, target: str, layout: _Layout) -> None:
    """Make ``target``, a folder of the tmpfs, show the folder ``host`` with ``layout`` laid over."""
    if os.path.isdir(host):
        with os.scandir(host) as entries:
            for entry in entries:
                if entry.name not in layout:
                    _show(entry, os.path.join(target, entry.name))
    for name, laid in layout.items():
        place = os.path.join(target, name)
        if isinstance(laid, LaidFile):
            fs.copy_file(laid.source, place)
            os.chmod(place, laid.mode)
        elif laid is None:
            os.mkdir(place)
        else:
            beneath = os.path.join(host, name)
            os.mkdir(place)
            if os.path.isdir(beneath):
                os.chmod(place, stat.S_IMODE(os.stat(beneath).st_mode))
            _lay(beneath, place, laid)


def _show(entry: os.DirEntry[str], place: str) -> None:
    if entry.is_symlink():
        os.symlink(os.readlink(entry.path), place)
        return
    if entry.is_dir(follow_symlinks=False):
        os.mkdir(place)
    else:
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o600))
    # A dead network mount, another user's FUSE mount or an entry that went away meanwhile cannot be bound:
    # this user cannot look into it on the host either, so the empty stand-in hides nothing from commands.
    with contextlib.suppress(OSError):
        libc.mount(entry.path, place, None, libc.MS_BIND | libc.MS_REC)
