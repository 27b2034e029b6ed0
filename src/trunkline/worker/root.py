"""The private root: a file system that looks like the host's and belongs to one worker alone.

A tmpfs becomes ``/`` of a mount namespace of the worker's own. The host's top folders are bound in, its top
links recreated, ``/pfs`` added, and the files of the image environment laid over at their absolute paths. Where
such a file lies inside a folder of the host (``/usr/local/bin/x``), each folder on the way becomes a real one in
the tmpfs with its other entries bound in. So ``/pfs`` and ``/edges.py`` exist for the command and for nobody
else, and nothing is ever created on the host. Two parts of the host are left out: folders that are covered, such
as the server's data, and ``/dev``, which is made anew with the harmless devices.

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
from trunkline.linux import libc
from trunkline.worker import files as fs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Where commands find their data.
PFS = "/pfs"

#: Bytes of memory for small inputs and for what commands write beside the host's folders, if the worker
#: has not asked for more. Nothing is used before it is written.
_LEAST_MEMORY = 256 << 20

#: Devices that every program may use.
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
#: Devices that compute: they begin with one of these.
_COMPUTE_DEVICES = ("nvidia", "dri", "kfd", "accel")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}

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


class Cover(NamedTuple):
    """Folders of the host that the private root shows empty, and what of them it shows all the same."""

    #: Absolute paths without links.
    folders: Sequence[str] = ()
    #: Paths in them that stay visible and can be written.
    writable: Sequence[str] = ()
    #: Paths in them that stay visible and can only be read.
    readable: Sequence[str] = ()


def enter(
    staging: str,
    files: Iterable[LaidFile],
    memory: int = 0,
    name: str = "trunkline",
    cover: Cover | None = None,
) -> None:
    """Move this process into a private root; the current directory becomes ``/``.

    Args:
        staging: an empty folder of the host to build on; it stays empty.
        files: what to lay over the host's files; they are copied.
        memory: bytes that the worker has asked for; what is written to the root counts against them.
        name: what the root is called in the list of mounts, by which the fleet knows whose it is.
        cover: folders that commands must not see.

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
    try:
        _lay("/", staging, _layout(files))
        _make_devices(f"{staging}/dev", size)
        if cover is not None:
            _cover(staging, cover)
    except OSError as error:
        libc.umount(staging, libc.MNT_DETACH)
        raise RootUnavailable(str(error)) from error
    os.chdir(staging)
    libc.pivot_root(".", ".")
    libc.umount(".", libc.MNT_DETACH)
    os.chdir("/")
    libc.mount(None, "/", None, libc.MS_PRIVATE)


def show_own_processes() -> bool:
    """Mount a ``/proc`` of this process's PID namespace; return whether the kernel allows it."""
    try:
        libc.mount("proc", "/proc", "proc", libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC)
    except OSError:
        return False  # parts of the host's are masked, as in a container
    return True


def _make_devices(folder: str, size: int) -> None:
    """Make a ``/dev`` with the harmless devices and those that compute."""
    host = os.listdir("/dev") if os.path.isdir("/dev") else []
    for device in host:
        if device in _DEVICES or device.startswith(_COMPUTE_DEVICES):
            place = f"{folder}/{device}"
            _stand_in(place, os.path.isdir(f"/dev/{device}"))
            with contextlib.suppress(OSError):
                libc.mount(f"/dev/{device}", place, None, libc.MS_BIND | libc.MS_REC)
    for name, target in _DEVICE_LINKS.items():
        os.symlink(target, f"{folder}/{name}")
    os.mkdir(f"{folder}/shm")
    os.mkdir(f"{folder}/pts")
    with contextlib.suppress(OSError):  # commands do without shared memory and terminals then
        options = f"mode=1777,size={size}"
        libc.mount("shm", f"{folder}/shm", "tmpfs", libc.MS_NOSUID | libc.MS_NODEV, options)
        options = "newinstance,ptmxmode=0666,mode=0620"
        libc.mount("devpts", f"{folder}/pts", "devpts", libc.MS_NOSUID | libc.MS_NOEXEC, options)


def _cover(staging: str, cover: Cover) -> None:
    """Show the folders empty but for the exceptions."""
    exceptions = [(path, False) for path in cover.writable] + [(path, True) for path in cover.readable]
    # Opened before they are covered: a descriptor can be bound although no path leads to it.
    sources = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path, _ in exceptions}
    for folder in cover.folders:
        place = staging + folder
        libc.mount("hidden", place, "tmpfs", libc.MS_NOSUID | libc.MS_NODEV, "mode=755,size=1m")
        for path, read_only in exceptions:
            if path.startswith(folder + "/"):
                os.makedirs(staging + path, exist_ok=True)
                libc.mount(f"/proc/self/fd/{sources[path]}", staging + path, None, libc.MS_BIND | libc.MS_REC)
                if read_only:
                    _forbid_writing(staging + path)
        _forbid_writing(place)
    for descriptor in sources.values():
        os.close(descriptor)


def _forbid_writing(place: str) -> None:
    # In a user namespace the kernel lets a mount keep its restrictions and none be lifted.
    kept = os.statvfs(place).f_flag & (libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC)
    times = os.statvfs(place).f_flag
    for flag, status in (
        (libc.MS_NOATIME, os.ST_NOATIME),
        (libc.MS_NODIRATIME, os.ST_NODIRATIME),
        (libc.MS_RELATIME, os.ST_RELATIME),
    ):
        kept |= flag if times & status else 0
    libc.mount(None, place, None, libc.MS_REMOUNT | libc.MS_BIND | libc.MS_RDONLY | kept)


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
    layout["dev"] = None
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
    _stand_in(place, entry.is_dir(follow_symlinks=False))
    # A dead network mount, another user's FUSE mount or an entry that went away meanwhile cannot be bound:
    # this user cannot look into it on the host either, so the empty stand-in hides nothing from commands.
    with contextlib.suppress(OSError):
        libc.mount(entry.path, place, None, libc.MS_BIND | libc.MS_REC)


def _stand_in(place: str, is_folder: bool) -> None:
    """Make something that a folder or file of the host can be bound to."""
    if is_folder:
        os.mkdir(place)
    else:
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o600))
