"""``/files/``: files by plain HTTP, by a real server and by the application alone."""

from __future__ import annotations

import random
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx2
import pytest
from exchange import GONE, Exchange
from hypothesis import given
from hypothesis import strategies as st
from pachyderm_sdk.api import pfs
from patience import PATIENCE
from sdk_steps import content

from trunkline.formats.chunking import MAX_BYTES
from trunkline.meta import commits
from trunkline.model.names import CommitName, RepoName
from trunkline.model.port_limits import PortLimits
from trunkline.pfs import files, repos
from trunkline.pfs.write_streams import CommitStream
from trunkline.rpc.asgi import file_headers
from trunkline.rpc.asgi.calls import Calls
from trunkline.rpc.asgi.files import FilesApplication
from trunkline.storage import file_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from conftest import Served

    from trunkline.app.composition import Core
    from trunkline.pfs.repository import VersionedStore
    from trunkline.storage.chunks import ChunkId

TEXT = random.Random(1).randbytes(5_120_000)
REPO = pfs.Repo.from_uri("letters")
MASTER_COMMIT = CommitName(RepoName("default", "letters"), branch="master")


# --- a real server ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["h2corn", "hypercorn"])
def served(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    serve_folder: Callable[..., AbstractContextManager[Served]],
) -> Iterator[Served]:
    if request.param != "h2corn":
        pytest.importorskip(request.param)
    with serve_folder(tmp_path_factory.mktemp("files"), http_server=request.param) as running:
        running.client().pfs.create_repo(repo=REPO)
        yield running


@pytest.fixture
def http(served: Served) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"http://{served.address}/files/default/letters", timeout=PATIENCE) as client:
        yield client


def test_a_file_is_put_into_a_branch_and_comes_back(http: httpx2.Client, served: Served) -> None:
    answer = http.put("/master/a%20b/%C3%BC.bin", content=TEXT)
    commit = answer.json()["commit"]
    whole = http.get("/master/a%20b/%C3%BC.bin")
    fixed = http.get(f"/{commit}/a b/ü.bin")

    assert (answer.status_code, answer.json()["size"]) == (200, len(TEXT))
    assert whole.content == fixed.content == TEXT
    assert whole.headers["content-type"] == "application/octet-stream"
    assert whole.headers["cache-control"] == "no-cache"
    assert "immutable" in fixed.headers["cache-control"]
    assert whole.headers["etag"] == fixed.headers["etag"]
    info = served.client().pfs.inspect_file(file=pfs.File.from_uri(f"letters@{commit}:/a b/ü.bin"))
    assert whole.headers["etag"] == f'"{info.hash.hex()}"'


def test_a_put_replaces_a_file_and_may_be_empty(http: httpx2.Client) -> None:
    http.put("/replaced/x", content=b"long content")
    http.put("/replaced/x", content=b"")

    assert http.get("/replaced/x").content == b""
    assert http.get("/replaced/x", headers={"range": "bytes=0-9"}).status_code == 416


def test_files_are_put_into_an_open_commit_together(http: httpx2.Client, served: Served) -> None:
    client = served.client()
    with client.pfs.commit(branch=pfs.Branch.from_uri("letters@batch")) as commit:
        for name in ("a", "b"):
            assert http.put(f"/{commit.id}/{name}", content=name).json()["commit"] == commit.id

    assert content(client, f"letters@{commit.id}") == {"/a": b"a", "/b": b"b"}
    assert http.put(f"/{commit.id}/c", content=b"late").json()["details"][0]["reason"] == "COMMIT_FINISHED"


def test_a_range_a_tag_and_a_head_request_are_answered(http: httpx2.Client) -> None:
    http.put("/ranges/x.txt", content=TEXT)

    head = http.head("/ranges/x.txt")
    middle = http.get("/ranges/x.txt", headers={"range": "bytes=1000000-1000009"})
    end = http.get("/ranges/x.txt", headers={"range": "bytes=-10", "if-range": head.headers["etag"]})
    changed = http.get("/ranges/x.txt", headers={"range": "bytes=0-9", "if-range": '"other"'})
    unchanged = http.get("/ranges/x.txt", headers={"if-none-match": f'W/"x", {head.headers["etag"]}'})

    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(TEXT)))
    assert (middle.status_code, middle.content) == (206, TEXT[1_000_000:1_000_010])
    assert middle.headers["content-range"] == f"bytes 1000000-1000009/{len(TEXT)}"
    assert (end.status_code, end.content) == (206, TEXT[-10:])
    assert (changed.status_code, changed.content) == (200, TEXT)
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_what_a_browser_gets_cannot_run(http: httpx2.Client) -> None:
    page = b"<script>alert(1)</script>"
    for name in ("page.html", "script.js", "picture.svg"):
        http.put(f"/hostile/{name}", content=page)

    answers = [http.get(f"/hostile/{name}") for name in ("page.html", "script.js", "picture.svg", "none")]

    assert [answer.headers["content-type"].partition(";")[0] for answer in answers] == [
        "text/plain",
        "text/plain",
        "image/svg+xml",
        "application/json",
    ]
    assert {answer.headers["content-security-policy"] for answer in answers} == {
        "sandbox; default-src 'none'"
    }
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}
    download = http.get("/hostile/page.html?download").headers["content-disposition"]
    assert download == "attachment; filename*=UTF-8''page.html"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/master/none", 404),
        ("GET", "/none/x", 404),
        ("GET", "/master/", 400),
        ("GET", "/master", 400),
        ("DELETE", "/master/x", 501),
        ("PUT", "/master/a%5Bb", 400),
        ("PUT", "/master/%00", 400),
        ("PUT", "/bad~name~~x/a", 400),
    ],
)
def test_a_request_that_cannot_be_served_gets_an_error_of_rest(
    http: httpx2.Client, method: str, path: str, status: int
) -> None:
    answer = http.request(method, path, content=b"x" if method == "PUT" else None)

    assert answer.status_code == status
    assert answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "log", "status"),
    [
        ("GET", "default/none", 404),
        ("GET", "default", 400),
        ("GET", "default/none?colour=red", 400),
        ("GET", "default/none?datum=00", 400),
        ("PUT", "default/none", 501),
    ],
)
def test_a_log_that_cannot_be_served_is_an_error_and_not_an_empty_log(
    served: Served, method: str, log: str, status: int
) -> None:
    with httpx2.Client(base_url=f"http://{served.address}/files/.log", timeout=PATIENCE) as client:
        answer = client.request(method, f"/{log}")

    assert answer.status_code == status
    assert answer.json()["message"]


def test_a_page_of_another_site_may_not_write(http: httpx2.Client) -> None:
    refused = http.put("/master/evil", content=b"x", headers={"sec-fetch-site": "cross-site"})

    assert refused.status_code == 403
    assert http.get("/master/evil").status_code == 404


def test_a_client_that_vanishes_leaves_nothing(http: httpx2.Client, served: Served) -> None:
    host, _, port = served.address.rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"PUT /files/default/letters/vanished/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9000000\r\n\r\n"
            + bytes(2_000_000)
        )

    http.put("/vanished/other", content=b"x")

    assert content(served.client(), "letters@vanished") == {"/other": b"x"}


# --- the application ----------------------------------------------------------------------------------------


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as running:
        yield running


def begin(application: FilesApplication, *events: object, method: str = "PUT", **headers: str) -> Exchange:
    return Exchange(
        application,
        "/files/default/letters/master/x",
        *events,
        method=method,
        base=_encoded(headers),
        http_version="1.1",
    )


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def body(data: bytes, *, more: bool = True) -> dict[str, object]:
    return {"type": "http.request", "body": data, "more_body": more}


@pytest.fixture
def letters(core: Core) -> VersionedStore:
    core.versions.write(repos.create_repo, RepoName("default", "letters"), "", update=False)
    return core.versions


def commits_of(versions: VersionedStore) -> int:
    return len(versions.read(commits.page, repo_id=None, beyond=None, oldest_first=False, number=10))


async def test_an_upload_whose_client_goes_is_dropped(
    letters: VersionedStore, executor: ThreadPoolExecutor
) -> None:
    exchange = begin(FilesApplication(letters, executor, Calls({})), body(bytes(3 << 20)), GONE)

    await exchange.ended()

    assert exchange.sent == []
    assert commits_of(letters) == 0


async def test_an_upload_that_stalls_is_ended(letters: VersionedStore, executor: ThreadPoolExecutor) -> None:
    calls = Calls({}, PortLimits(upload_idle=0.05))
    exchange = begin(FilesApplication(letters, executor, calls), body(b"begin"))

    await exchange.ended()

    assert exchange.status == 504
    assert commits_of(letters) == 0


async def test_a_download_that_nobody_takes_is_ended(
    letters: VersionedStore, executor: ThreadPoolExecutor
) -> None:
    calls = Calls({}, PortLimits(download_idle=0.05))
    application = FilesApplication(letters, executor, calls)
    await begin(application, body(random.Random(1).randbytes(8 << 20), more=False)).ended()
    exchange = begin(application, method="GET")
    exchange.take_no_body()

    await exchange.ended()

    assert exchange.status == 200
    assert not any(event.get("more_body") is False for event in exchange.sent)


async def test_ranges_of_a_file_of_ten_gigabytes_read_what_they_send(
    letters: VersionedStore, executor: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = FilesApplication(letters, executor, Calls({}))
    await begin(application, body(TEXT, more=False)).ended()
    value = files.snapshot(letters, MASTER_COMMIT).inspect("/x").value
    chunk_list = file_values.list_of(letters.chunks, value)
    stream = CommitStream(letters, MASTER_COMMIT)
    stream.put("/x", "", chunk_list * 2048, size=0, append=False)
    stream.finish()
    size = len(TEXT) * 2048
    reads: list[int] = []
    read_many = letters.chunks.read_many

    def counted(ids: Iterable[ChunkId]) -> Iterator[bytes]:
        for piece in read_many(ids):
            reads.append(len(piece))
            yield piece

    monkeypatch.setattr(letters.chunks, "read_many", counted)

    answers = [
        await begin(application, method="GET", range=f"bytes={start}-{start + 99}").ended()
        for start in (0, size // 2, size - 100)
    ]

    assert size > 10**10
    assert [answer.body for answer in answers] == [TEXT[:100], TEXT[:100], TEXT[-100:]]
    assert max(reads) <= MAX_BYTES
    assert len([read for read in reads if read > 65_536]) <= 3


async def test_a_server_that_stops_refuses_files(
    letters: VersionedStore, executor: ThreadPoolExecutor
) -> None:
    calls = Calls({})
    await calls.stop(0)

    exchange = await begin(FilesApplication(letters, executor, calls), method="GET").ended()

    assert exchange.status == 503


# --- headers ------------------------------------------------------------------------------------------------


@given(st.integers(0, 50), st.integers(0, 60) | st.none(), st.integers(0, 60) | st.none())
def test_a_range_is_within_the_file(size: int, first: int | None, last: int | None) -> None:
    text = f"bytes={'' if first is None else first}-{'' if last is None else last}".encode()
    content = bytes(range(size))

    part = file_headers.part([(b"range", text)], b'"tag"', size)

    expected = None
    if first is not None and (last is None or last >= first):
        expected = content[first:] if last is None else content[first : last + 1]
    elif first is None and last is not None:
        expected = content[size - min(last, size) :]
    assert (None if part is None else content[part[0] :][: part[1]]) == expected


@pytest.mark.parametrize("text", [b"bytes=0-1,3-4", b"items=0-1", b"bytes=a-b", b"bytes=5-2", b""])
def test_other_ranges_mean_the_whole_file(text: bytes) -> None:
    assert file_headers.part([(b"range", text)], b'"tag"', 100) is None
