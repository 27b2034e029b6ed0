"""The reads of the console about files, as its pages make them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from blake3 import blake3
from pachyderm_sdk.api import pfs
from patience import PATIENCE
from sdk_steps import put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from conftest import Served

MASTER = pfs.Branch.from_uri("data@master")
TREE = {"project": "", "repo": "data", "ref": "master"}


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, serve_folder: Callable[..., AbstractContextManager[Served]]
) -> Iterator[Served]:
    with serve_folder(tmp_path_factory.mktemp("files")) as running:
        client = running.client()
        client.pfs.create_repo(repo=MASTER.repo)
        put(client, MASTER, {"/a": b"1", "/dir/x": b"22"})
        put(client, MASTER, {"/a": b"11", "/dir/y": b"333"}, delete=["/a"])
        yield running


def ask(served: Served, method: str, **request: Any) -> Any:
    url = f"http://{served.address}/api/trunkline.console.v1.Console/{method}"
    answer = httpx2.post(url, json=request, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_folder_is_listed_with_sums(served: Served) -> None:
    page = ask(served, "ListFolder", tree=TREE, path="/")

    assert (page["offset"], page["total"], page["sizeBytes"], page["files"]) == ("0", "2", "7", "3")
    assert [(each["name"], each["folder"], each["sizeBytes"], each["files"]) for each in page["entries"]] == [
        ("a", False, "2", "0"),
        ("dir", True, "5", "2"),
    ]
    assert base64.b64decode(page["entries"][0]["hash"]) == blake3(b"11").digest()
    assert page["entries"][0]["datumId"] == ""
    assert page["finished"]


def test_two_commits_are_compared(served: Served) -> None:
    page = ask(served, "CompareFolders", old={**TREE, "ref": "master^"}, new=TREE, path="/")
    with_parent = ask(served, "CompareFolders", new=TREE, path="/")

    assert page == with_parent
    assert [(each["name"], each["change"], each["added"], each["changed"]) for each in page["entries"]] == [
        ("a", "CHANGED", "0", "1"),
        ("dir", "CHANGED", "1", "0"),
    ]
    assert (page["added"], page["removed"], page["changed"]) == ("1", "0", "1")
    assert page["oldCommitId"] != page["newCommitId"]


def test_the_versions_of_a_file_are_listed(served: Served) -> None:
    page = ask(served, "ListFileVersion", tree=TREE, path="/a")

    assert [(each["change"], each["sizeBytes"]) for each in page["versions"]] == [
        ("CHANGED", "2"),
        ("ADDED", "1"),
    ]
    assert page["nextPageToken"] == ""
