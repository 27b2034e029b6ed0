"""Modules that are imported when something of them is used."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from trunkline.runtime.loading import postpone


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A module ``spare`` on the path, which notes that it was loaded."""
    (tmp_path / "spare.py").write_text("SIZE = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("spare", None)


@pytest.mark.usefixtures("library")
def test_a_postponed_module_is_loaded_when_something_of_it_is_used():
    postpone("spare")
    import spare

    before = sys.modules["spare"]
    size = spare.SIZE

    assert size == 3
    assert sys.modules["spare"] is not before
    assert vars(sys.modules["spare"])["SIZE"] == 3
    with pytest.raises(AttributeError, match="WEIGHT"):
        _ = spare.WEIGHT


@pytest.mark.usefixtures("library")
def test_a_loaded_module_stays_as_it_is():
    import spare

    postpone("spare")

    assert sys.modules["spare"] is spare


def test_messages_can_be_read_where_protobuf_has_no_compiled_implementation():
    program = (
        "from trunkline.rpc.gen import pfs_pb2\n"
        "info = pfs_pb2.RepoInfo(repo=pfs_pb2.Repo(name='texts'), created={'seconds': 5})\n"
        "print(type(info).__bases__[0].__module__, pfs_pb2.RepoInfo.FromString(info.SerializeToString()) == info)\n"
    )
    environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=environment, capture_output=True, text=True
    )

    assert done.stdout == "google.protobuf.message True\n", done.stderr
