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


def adds(branch, files):
    """Return the messages of one stream that writes files (path to bytes) to a branch."""
    yield pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=branch.repo, branch=branch))
    for path, data in files.items():
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=data))


def put_many(client, branch, files):
    """Append to files (path to bytes) in one stream; a commit of its own unless one is open."""
    client.pfs.modify_file(adds(branch, files))


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
        _whole(call(*args, **kwargs))
    return caught.value.code(), caught.value.details()


def _whole(result):
    """Read a stream to its end."""
    if hasattr(result, "__next__"):
        list(result)
