"""``trunkline fsck``."""

from __future__ import annotations

from trunkline.rpc.gen import pfs_pb2


def test_fsck_succeeds_without_errors(run, server):
    code, printed, _ = run("fsck")

    assert (code, printed) == (0, "")


def test_fsck_prints_each_error_and_fails(run, server):
    server.answers["Fsck"] = [pfs_pb2.FsckResponse(error="one"), pfs_pb2.FsckResponse(error="two")]

    code, printed, _ = run("fsck")

    assert code != 0
    assert printed == "one\ntwo\n"
