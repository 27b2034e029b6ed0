"""Checks of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli.parsing import Command
from trunkline.errors import DataLoss
from trunkline.rpc.gen import pfs_pb2

if TYPE_CHECKING:
    from trunkline.cli.invocation import Invocation


def fsck(invocation: Invocation) -> None:
    """Check whether all commits can be read.

    Raises:
        DataLoss: some cannot.
    """
    count = 0
    for response in invocation.pfs.Fsck(pfs_pb2.FsckRequest()):
        count += 1
        print(response.error)
    if count:
        raise DataLoss(f"{count:,} commits are damaged; restore what they name from a backup")
    invocation.note("no errors found")


COMMANDS = {
    "fsck": Command(
        fsck,
        (),
        examples=(("trunkline fsck", "check all commits"),),
    )
}
