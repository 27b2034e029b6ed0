"""The few Linux calls that the standard library lacks, as functions that raise ``OSError``.

Reached by ctypes because they are five and must work before anything else is imported; a compiled
extension would need a compiler wherever Trunkline is installed. Numbers are from the kernel's stable
user interface. Nothing here decides anything.
"""

from __future__ import annotations

import ctypes
import errno
import os

# <sched.h>
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000

# <sys/mount.h>
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_UNBINDABLE = 1 << 17
MNT_DETACH = 2

# <sys/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36

# pivot_root has no wrapper in glibc; its number differs by architecture. All architectures that were
# added to Linux after 2011 share the second number.
_PIVOT_ROOT = {"x86_64": 155, "i686": 217, "armv7l": 218, "ppc64le": 203, "s390x": 217}.get(
    os.uname().machine, 41
)

_libc = ctypes.CDLL(None, use_errno=True)
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


def unshare(flags: int) -> None:
    """Give this process namespaces of its own."""
    _check("unshare", _libc.unshare(flags))


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Attach a file system or folder at ``target``."""
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
    """Take the topmost mount away from ``target``."""
    _check("umount", _libc.umount2(os.fsencode(target), flags), target)


def pivot_root(new: str, old: str) -> None:
    """Make ``new`` the root of this mount namespace and put the old one on ``old``."""
    code = _libc.syscall(
        ctypes.c_long(_PIVOT_ROOT), ctypes.c_char_p(os.fsencode(new)), ctypes.c_char_p(os.fsencode(old))
    )
    _check("pivot_root", code, new)


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send the signal when the thread that started this process ends."""
    _check("prctl", _libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0))


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _check("prctl", _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def hide_memory() -> None:
    """Keep other processes of the same user out of this one's memory and first environment."""
    _check("prctl", _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


def _check(call: str, code: int, path: str | None = None) -> None:
    if code == 0:
        return
    number = ctypes.get_errno() or errno.EINVAL
    where = call if path is None else f"{call} {path}"
    raise OSError(number, f"{where}: {os.strerror(number)}")
