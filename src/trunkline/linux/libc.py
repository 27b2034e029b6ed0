"""Linux system calls that the standard library lacks, as functions that raise ``OSError``.

Called with ctypes: they are few and must work before anything else is imported, and a compiled extension would
need a compiler wherever Trunkline is installed. Numbers are from the kernel's stable user interface. This module
makes no decisions.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# <sched.h>
_CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

# <sys/mount.h>
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT = 0x20
MS_NOATIME, MS_NODIRATIME, MS_RELATIME = 1 << 10, 1 << 11, 1 << 21
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_UNBINDABLE = 1 << 17
MNT_DETACH = 2

# <sys/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

# <malloc.h>
_M_ARENA_MAX = -8

# <linux/openat2.h>; the same number on all architectures.
_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS = 0x02
# <linux/magic.h>
_PROC_SUPER_MAGIC = 0x9FA0
# setgroups for the calling thread alone; glibc's function changes all threads.
_SETGROUPS = {"x86_64": 116, "i686": 206, "armv7l": 206, "ppc64le": 81, "s390x": 206}.get(
    os.uname().machine, 159
)

# pivot_root has no wrapper in glibc; its number differs by architecture. All architectures that were
# added to Linux after 2011 share the second number.
_CLONE = {"x86_64": 56, "i686": 120, "armv7l": 120, "ppc64le": 120, "s390x": 120}.get(os.uname().machine, 220)
_PIVOT_ROOT = {"x86_64": 155, "i686": 217, "armv7l": 218, "ppc64le": 203, "s390x": 217}.get(
    os.uname().machine, 41
)

_libc = ctypes.CDLL(None, use_errno=True)
#: Calls without giving up the interpreter's lock.
_python_libc = ctypes.PyDLL(None, use_errno=True)
_python_libc.syscall.restype = ctypes.c_long
_libc.mount.argtypes = (
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.unshare.argtypes = (ctypes.c_int,)
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_libc.syscall.restype = ctypes.c_long
_libc.setfsuid.argtypes = _libc.setfsgid.argtypes = (ctypes.c_uint,)
_libc.fstatfs.argtypes = (ctypes.c_int, ctypes.c_void_p)


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    _check("unshare", _libc.unshare(flags))


def fork_sibling() -> int:
    """Fork; the new process is a child of this process's parent. Returns its id, and 0 in the new process.

    Only for a process with a single thread. It does what ``os.fork`` does around the system call.

    Raises:
        OSError: the kernel refuses.
    """
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = int(_python_libc.syscall(*map(ctypes.c_long, (_CLONE, _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0))))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    error = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(error, os.strerror(error))
    return pid


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Attach a file system or folder at ``target`` (``mount(2)``).

    Args:
        source: device or folder; None when the kind or the flags need none.
        target: folder to mount on.
        kind: file system type; None when the flags need none.
        flags: ``MS_…`` constants.
        options: the file system's own options, separated by commas.

    Raises:
        OSError: the kernel refuses.
    """
    encode = os.fsencode
    code = _libc.mount(
        None if source is None else encode(source),
        encode(target),
        None if kind is None else encode(kind),
        flags,
        None if options is None else encode(options),
    )
    _check("mount", code, target)


def umount(target: str, flags: int = 0) -> None:
    """Detach the topmost mount from ``target``."""
    _check("umount", _libc.umount2(os.fsencode(target), flags), target)


def pivot_root(new: str, old: str) -> None:
    """Make ``new`` the root of this mount namespace and mount the old root on ``old``."""
    code = _libc.syscall(
        ctypes.c_long(_PIVOT_ROOT), ctypes.c_char_p(os.fsencode(new)), ctypes.c_char_p(os.fsencode(old))
    )
    _check("pivot_root", code, new)


def die_with_parent(signal_number: int) -> None:
    """Make the kernel send the signal when the thread that started this process ends."""
    _check("prctl", _libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0))


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _check("prctl", _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def hide_memory() -> None:
    """Hide this process's memory and initial environment from other processes of the same user."""
    _check("prctl", _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


def share_arenas(count: int) -> None:
    """Let all threads allocate from so many arenas. Does nothing where the C library is not glibc.

    Memory that one thread has freed is then used again by the others. To be called before threads start.
    """
    if (set_option := getattr(_libc, "mallopt", None)) is not None:
        set_option(_M_ARENA_MAX, count)


def return_memory() -> None:
    """Return freed memory to the operating system. Does nothing where the C library is not glibc."""
    if (trim := getattr(_libc, "malloc_trim", None)) is not None:
        trim(0)


def forbid_new_privileges() -> None:
    """Prevent programs that this process or a child executes from gaining privileges, for instance by setuid."""
    _check("prctl", _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def drop_from_bounding_set(capabilities: Iterable[int]) -> None:
    """Deny capabilities to the programs that children execute; this process keeps its own."""
    for capability in capabilities:
        _check("prctl", _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0))


def open_without_magic(path: str, flags: int) -> int:
    """Open a file; magic links of /proc (to another process's files or to descriptors) are refused.

    Raises:
        OSError: ELOOP for such a link; otherwise as ``os.open``.
    """
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, _RESOLVE_NO_MAGICLINKS)
    descriptor = _libc.syscall(
        ctypes.c_long(_OPENAT2),
        ctypes.c_int(-100),  # AT_FDCWD
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.c_char_p(how),
        ctypes.c_size_t(len(how)),
    )
    if descriptor >= 0:
        return int(descriptor)
    number = ctypes.get_errno()
    if number == errno.ENOSYS:  # before Linux 5.6
        return os.open(path, flags | os.O_CLOEXEC)
    raise OSError(number, os.strerror(number), path)


def is_on_proc(descriptor: int) -> bool:
    """Whether a file belongs to a proc file system."""
    status = ctypes.create_string_buffer(256)
    _check("fstatfs", _libc.fstatfs(descriptor, status))
    return int(ctypes.c_long.from_buffer(status).value) == _PROC_SUPER_MAGIC


@contextlib.contextmanager
def files_as_user(uid: int, gid: int) -> Iterator[None]:
    """Access files with the permissions of another user, in this thread; needs root.

    The kernel resets what ``die_with_parent`` and ``hide_memory`` have set: the caller sets both again.
    """
    groups = os.getgroups()
    _set_groups([])
    _libc.setfsgid(gid)
    _libc.setfsuid(uid)
    try:
        # Both calls return the former value and no error; a second call shows whether they worked.
        if _libc.setfsuid(0xFFFFFFFF) != uid or _libc.setfsgid(0xFFFFFFFF) != gid:
            raise PermissionError(errno.EPERM, f"the worker may not access files as user {uid}")
        yield
    finally:
        _libc.setfsuid(os.geteuid())
        _libc.setfsgid(os.getegid())
        _set_groups(groups)


def _set_groups(groups: list[int]) -> None:
    array = (ctypes.c_uint * len(groups))(*groups)
    code = _libc.syscall(ctypes.c_long(_SETGROUPS), ctypes.c_size_t(len(groups)), array)
    _check("setgroups", code)


def _check(call: str, code: int, path: str | None = None) -> None:
    if code == 0:
        return
    number = ctypes.get_errno() or errno.EINVAL
    where = call if path is None else f"{call} {path}"
    raise OSError(number, f"{where}: {os.strerror(number)}")
