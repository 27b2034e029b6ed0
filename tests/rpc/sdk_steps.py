"""Steps that tests take with the published SDK."""

from __future__ import annotations

import grpc
import pytest
from pachyderm_sdk.api import pfs


def put(client, branch, files, *, delete=()):
    """Write files (path to bytes) as one commit; return it."""
    with client.pfs.commit(branch=branch) as commit:
        for path in delete:
            commit.delete_file(path=path)
        for path, data in files.items():
            commit.put_file_from_bytes(path, data)
    return pfs.Commit(repo=branch.repo, id=commit.id)


def content(client, uri):
    """Return all files of a commit: path to bytes."""
    return {
        path: client.pfs.pfs_file(pfs.File.from_uri(f"{uri}:{path}")).read()
        for path in paths_of(client.pfs.walk_file(file=pfs.File.from_uri(f"{uri}:/")))
        if not path.endswith("/")
    }


def paths_of(stream):
    """Return the paths of a stream of file infos."""
    return [info.file.path for info in stream]


def is_finished(info):
    """Whether a commit is finished; the SDK shows a time that is not set as the epoch."""
    return info.finished.year > 1970


def refusal(call, *args, **kwargs):
    """Return the code and the sentence that a call is refused with."""
    with pytest.raises(grpc.RpcError) as caught:
        result = call(*args, **kwargs)
        if hasattr(result, "__next__"):
            list(result)
    return caught.value.code(), caught.value.details()
