"""The private root: a file system that looks like the host's and belongs to one worker alone.

A tmpfs becomes ``/`` of the worker's own mount namespace. The host's top-level folders are bind-mounted into it, its
top-level links recreated, ``/pfs`` added, and the files of the image environment placed at their absolute paths.
Where such a file is inside a folder of the host (``/usr/local/bin/x``), each parent folder becomes a real one in the
tmpfs with its other entries bind-mounted. So ``/pfs`` and ``/edges.py`` exist only for the command, and nothing is
ever created on the host. Two parts of the host are excluded: hidden folders, such as the server's data, and
``/dev``, which is created anew with harmless devices.

Why not an overlay file system: unprivileged ones are forbidden or broken on too many kernels. Why bind mounts that
follow the host ("slave") rather than private copies: a file system that the host unmounts later must not stay busy
because of a worker.

The worker's modules use no dataclasses: importing them takes a tenth of its start-up.

``enter`` must run before a second thread exists (the kernel refuses user namespaces then) and must leave no mount
outside its namespace. This module must not import large libraries.
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

#: Bytes of memory for small inputs and for files that commands write outside the host's folders, unless the worker
#: requests more. Memory is used only when files are written.
_LEAST_MEMORY = 256 << 20

#: Devices that every program may use.
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
#: Prefixes of accelerator devices.
_COMPUTE_DEVICES = ("nvidia", "dri", "kfd", "accel")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}

#: Entries to create in a folder: a file, a folder with a layout of its own, or an empty folder.
_Layout = dict[str, "LaidFile | _Layout | None"]


class RootUnavailable(FailedPrecondition):
    """This machine does not allow a private root."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"this machine does not let workers have a private root ({reason}); allow user namespaces, or "
            f"let commands read $PFS_ROOT instead of {PFS}"
        )
        #: The operation that the kernel refused.
        self.reason = reason


class LaidFile(NamedTuple):
    """A file of an image environment."""

    #: Absolute path that commands see.
    path: str
    #: Path of its bytes on the host.
    source: str
    #: Permission bits.
    mode: int


class Cover(NamedTuple):
    """Folders of the host that are empty or read-only in the private root, and exceptions in the empty ones."""

    #: Absolute paths without links.
    folders: Sequence[str] = ()
    #: Paths in them that stay visible and can be written.
    writable: Sequence[str] = ()
    #: Paths in them that stay visible and can only be read.
    readable: Sequence[str] = ()
    #: Mount points that stay visible and can only be read.
    locked: Sequence[str] = ()


def enter(
    staging: str,
    files: Iterable[LaidFile],
    memory: int = 0,
    name: str = "trunkline",
    cover: Cover | None = None,
    folders: Sequence[str] = (),
) -> None:
    """Move this process into a private root; the current directory becomes ``/``.

    Args:
        staging: an empty folder of the host to build on; it stays empty.
        files: files to place over the host's; they are copied.
        memory: bytes that the worker requests; files written to the root count against them.
        name: the root's name in the list of mounts, which identifies the worker to the fleet.
        cover: folders that commands must not see or write.
        folders: absolute paths at which something will be mounted later.

    Raises:
        RootUnavailable: the machine forbids namespaces or mounts; the process sees the host as before.
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
        _lay("/", staging, _layout(files, folders))
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
        return False  # parts of the host's /proc are masked, as in a container
    return True


def _make_devices(folder: str, size: int) -> None:
    """Create a ``/dev`` with harmless devices and accelerators."""
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
    with contextlib.suppress(OSError):  # then commands have no shared memory or terminals
        options = f"mode=1777,size={size}"
        libc.mount("shm", f"{folder}/shm", "tmpfs", libc.MS_NOSUID | libc.MS_NODEV, options)
        options = "newinstance,ptmxmode=0666,mode=0620"
        libc.mount("devpts", f"{folder}/pts", "devpts", libc.MS_NOSUID | libc.MS_NOEXEC, options)


def _cover(staging: str, cover: Cover) -> None:
    """Mount empty folders over the hidden ones, with the exceptions in them."""
    exceptions = [(path, False) for path in cover.writable] + [(path, True) for path in cover.readable]
    # Opened before they are hidden: a descriptor can be bind-mounted although no path leads to it.
    sources = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path, _ in exceptions}
    for folder in cover.folders:
        place = staging + folder
        libc.mount("hidden", place, "tmpfs", libc.MS_NOSUID | libc.MS_NODEV, "mode=755,size=1m")
        for path, read_only in exceptions:
            if path.startswith(folder + "/"):
                os.makedirs(staging + path, exist_ok=True)
                libc.mount(f"/proc/self/fd/{sources[path]}", staging + path, None, libc.MS_BIND | libc.MS_REC)
                if read_only:
                    forbid_writing(staging + path)
        forbid_writing(place)
    for mount in cover.locked:
        forbid_writing(staging + mount)
    for descriptor in sources.values():
        os.close(descriptor)


def forbid_writing(place: str) -> None:
    """Make a mount read-only."""
    # In a user namespace the kernel does not allow a remount to drop restrictions.
    restrictions = os.statvfs(place).f_flag & (libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC)
    times = os.statvfs(place).f_flag
    for flag, status in (
        (libc.MS_NOATIME, os.ST_NOATIME),
        (libc.MS_NODIRATIME, os.ST_NODIRATIME),
        (libc.MS_RELATIME, os.ST_RELATIME),
    ):
        restrictions |= flag if times & status else 0
    libc.mount(None, place, None, libc.MS_REMOUNT | libc.MS_BIND | libc.MS_RDONLY | restrictions)


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
    # The user id is unchanged, so that commands see their own name and own their files. The worker keeps the right to
    # mount in its namespace because it never executes another program itself.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _layout(files: list[LaidFile], folders: Sequence[str]) -> _Layout:
    layout: _Layout = {}
    for file in files:
        # /bin is a link to /usr/bin on most hosts: the file must land where the link leads.
        folder, name = os.path.split(file.path)
        current = layout
        for part in os.path.realpath(folder).split("/"):
            if part:
                deeper = current.setdefault(part, {})
                assert isinstance(deeper, dict), f"{file.path} lies below a file of the same image"
                current = deeper
        current[name] = file
    for folder in folders:
        current = layout
        for part in os.path.realpath(folder).split("/")[1:]:
            deeper = current.setdefault(part, {})
            if not isinstance(deeper, dict):
                break  # a file of the image: the mount will fail and say so
            current = deeper
    layout[PFS[1:]] = None
    layout["dev"] = None
    return layout


def _lay(host: str, target: str, layout: _Layout) -> None:
    """Fill ``target``, a folder of the tmpfs, with the entries of the folder ``host`` and of ``layout``."""
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
    # A dead network mount, another user's FUSE mount or an entry that was removed meanwhile cannot be bind-mounted:
    # this user cannot read it on the host either, so the empty placeholder hides nothing from commands.
    with contextlib.suppress(OSError):
        libc.mount(entry.path, place, None, libc.MS_BIND | libc.MS_REC)


def _stand_in(place: str, is_folder: bool) -> None:
    """Create a mount point for a folder or file of the host."""
    if is_folder:
        os.mkdir(place)
    else:
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o600))
