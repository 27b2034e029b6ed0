"""Files from URLs, files to URLs and egress to object stores, through the published SDK."""

from __future__ import annotations

import grpc
import pytest
from pachyderm_sdk.api import pfs
from sdk_steps import content, put, refusal
from web_server import broken, web_server

IMAGES = pfs.Repo.from_uri("images")
MASTER = pfs.Branch.from_uri("images@master")


@pytest.fixture(scope="module")
def site():
    with web_server() as running:
        yield running


@pytest.fixture(scope="module")
def bucket(s3):
    s3.make_bucket("urls")
    return "s3://urls"


@pytest.fixture(scope="module")
def shared(tmp_path_factory, serve_folder, site, s3, bucket):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment().items():
            patch.setenv(name, value)
        rules = (site.url, bucket, "sqlite:///none")
        with serve_folder(tmp_path_factory.mktemp("urls"), outbound=rules) as server:
            yield server.client()


@pytest.fixture
def images(shared):
    shared.pfs.create_repo(repo=IMAGES)
    yield shared
    shared.pfs.delete_repo(repo=IMAGES, force=True)


def add(client, path, url, **source):
    client.pfs.modify_file(
        iter(
            [
                pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=IMAGES, branch=MASTER)),
                pfs.ModifyFileRequest(
                    add_file=pfs.AddFile(path=path, url=pfs.AddFileUrlSource(url=url, **source))
                ),
            ]
        )
    )


def send(client, path, url, *, tar=False):
    request = pfs.GetFileRequest(file=pfs.File.from_uri(f"images@master:{path}"), url=url)
    call = client.pfs.get_file_tar if tar else client.pfs.get_file
    frames = call(file=request.file, url=url)
    return list(frames)


def test_a_file_comes_from_an_http_url_and_is_appended(images, site):
    site.answers["/a.txt"] = b"from far"
    client = images

    put(client, MASTER, {"/a.txt": b"here and "})
    add(client, "/a.txt", f"{site.url}/a.txt")

    assert content(client, "images@master") == {"/a.txt": b"here and from far"}


def test_an_empty_file_comes_from_a_url(images, site):
    site.answers["/empty"] = b""

    add(images, "/empty", f"{site.url}/empty")

    assert content(images, "images@master") == {"/empty": b""}


def test_the_sdk_puts_a_file_from_a_url(images, site):
    site.answers["/sdk"] = b"by the SDK"

    with images.pfs.commit(branch=MASTER) as commit:
        commit.put_file_from_url(path="/sdk", url=f"{site.url}/sdk")

    assert content(images, "images@master") == {"/sdk": b"by the SDK"}


def test_a_url_that_breaks_off_leaves_no_commit(images, site):
    site.answers["/short"] = broken(5_000_000, b"x" * 4_000_000)

    code, _ = refusal(add, images, "/short", f"{site.url}/short")

    assert code == grpc.StatusCode.UNAVAILABLE

    assert list(images.pfs.list_commit(repo=IMAGES)) == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://example.org/x", grpc.StatusCode.PERMISSION_DENIED),
        ("http://169.254.169.254/latest/meta-data", grpc.StatusCode.PERMISSION_DENIED),
        ("file:///etc/passwd", grpc.StatusCode.PERMISSION_DENIED),
        ("s3://other/x", grpc.StatusCode.PERMISSION_DENIED),
        ("gopher://example.org/x", grpc.StatusCode.INVALID_ARGUMENT),
        ("sqlite:///none/x", grpc.StatusCode.INVALID_ARGUMENT),
        ("", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_a_url_that_is_not_allowed_is_refused(images, url, code):
    assert refusal(add, images, "/x", url)[0] == code


def test_files_go_to_an_object_store_and_come_back(images, bucket):
    files = {"/dir/a b": b"one", "/dir/c%": b"two" * 1_000_000, "/empty": b"", "/dir2/d": b"three"}
    put(images, MASTER, files)

    assert send(images, "/", f"{bucket}/back/", tar=True) == []
    put(images, MASTER, {}, delete=["/"])
    add(images, "/again", f"{bucket}/back", recursive=True, concurrency=3)
    add(images, "/one", f"{bucket}/back/dir2/d")

    expected = {f"/again{path}": data for path, data in files.items()}
    assert content(images, "images@master") == {**expected, "/one": b"three"}


def test_only_the_files_of_a_glob_go_to_an_object_store(images, bucket):
    put(images, MASTER, {"/a.png": b"1", "/b.txt": b"2"})

    send(images, "/*.png", f"{bucket}/glob")
    add(images, "/back", f"{bucket}/glob", recursive=True)

    assert "/back/a.png" in content(images, "images@master")
    assert "/back/b.txt" not in content(images, "images@master")


def test_a_prefix_without_objects_is_not_found(images, bucket):
    code, _ = refusal(add, images, "/x", f"{bucket}/no/such/prefix", recursive=True)

    assert code == grpc.StatusCode.NOT_FOUND


def test_an_egress_writes_all_files_and_may_be_repeated(images, bucket):
    commit = put(images, MASTER, {"/a/b": b"12", "/c": b"345"})
    target = pfs.ObjectStorageEgress(url=f"{bucket}/egress")

    for _ in range(2):
        response = images.pfs.egress(commit=commit, object_storage=target)
        assert response.object_storage.bytes_written == 5

    add(images, "/back", f"{bucket}/egress", recursive=True)
    assert content(images, "images@master")["/back/a/b"] == b"12"


def test_an_egress_of_no_files_writes_nothing(images, bucket):
    with images.pfs.commit(branch=MASTER) as commit:
        pass

    response = images.pfs.egress(
        commit=commit, object_storage=pfs.ObjectStorageEgress(url=f"{bucket}/nothing")
    )

    assert response.object_storage.bytes_written == 0


def test_an_open_commit_has_no_egress(images, bucket):
    commit = images.pfs.start_commit(branch=MASTER)

    code, _ = refusal(
        images.pfs.egress, commit=commit, object_storage=pfs.ObjectStorageEgress(url=f"{bucket}/open")
    )

    assert code == grpc.StatusCode.FAILED_PRECONDITION


def test_files_are_not_sent_to_http_urls(images, site):
    put(images, MASTER, {"/a": b"1"})

    code, _ = refusal(send, images, "/a", f"{site.url}/a")

    assert code == grpc.StatusCode.INVALID_ARGUMENT
