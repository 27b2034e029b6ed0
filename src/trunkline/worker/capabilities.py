"""Limits the capabilities of commands when the worker runs as root.

The worker keeps its capabilities, because it mounts ``/pfs``; its commands get those that containers usually have,
and those by which a program raises its own priority and resource limits. They cannot mount or unmount, trace
processes, make device files, load modules, or change immutable files.
"""

from __future__ import annotations

import contextlib

from trunkline.linux import libc

#: Numbers from <linux/capability.h>.
_ALLOWED = frozenset(
    {
        0,  # CHOWN
        1,  # DAC_OVERRIDE
        3,  # FOWNER
        4,  # FSETID
        5,  # KILL
        6,  # SETGID
        7,  # SETUID
        8,  # SETPCAP
        10,  # NET_BIND_SERVICE
        13,  # NET_RAW
        14,  # IPC_LOCK
        18,  # SYS_CHROOT
        23,  # SYS_NICE
        24,  # SYS_RESOURCE
        29,  # AUDIT_WRITE
        31,  # SETFCAP
    }
)
#: More than exist; the kernel reports where they end.
_MOST = 64


def restrict_commands() -> None:
    """Limit the capabilities of commands that this process starts from now on; the process keeps its own."""
    libc.forbid_new_privileges()
    # An ordinary user may not drop them, and its commands have none.
    with contextlib.suppress(OSError):
        libc.drop_from_bounding_set(number for number in range(_MOST) if number not in _ALLOWED)
