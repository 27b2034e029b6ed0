"""The outbound client against real servers on loopback: HTTP, S3 and files."""

from __future__ import annotations

import os
import socket
import threading

import pytest
from web_server import broken, chunked, closing, redirect, status, web_server

from trunkline.drivers.outbound import sockets, web
from trunkline.drivers.outbound.client import OutboundClient
from trunkline.errors import (
    Cancelled,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    TrunklineError,
    Unavailable,
)
from trunkline.model import limits
from trunkline.model.outbound import Rules
from trunkline.runtime.cancellation import Scope


@pytest.fixture(scope="module")
def site():
    with web_server() as server:
        yield server


@pytest.fixture
def client(site):
    return OutboundClient(Rules((f"http://127.0.0.1:{site.port}", "https")))


def whole(client, url):
    return b"".join(client.read(url))


# --- HTTP ------------------------------------------------------------------------------------------------


def test_a_file_is_read_with_its_query(site, client):
    site.answers["/a?x=1&y=%20"] = b"content"

    assert whole(client, f"{site.url}/a?x=1&y=%20#part") == b"content"


def test_an_answer_without_a_length_is_read_to_its_end(site, client):
    site.answers["/chunked"] = chunked(b"one ", b"two")

    assert whole(client, f"{site.url}/chunked") == b"one two"


@pytest.mark.parametrize("announced", [True, False])
def test_an_answer_of_a_server_that_closes_the_connection_is_read_to_its_end(site, client, announced):
    content = os.urandom(3_000_000)
    site.answers["/closing"] = closing(content, announced=announced)

    assert whole(client, f"{site.url}/closing") == content


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(site, client, code):
    site.answers["/old"] = redirect("new?x", code)
    site.answers["/new?x"] = b"moved"

    assert whole(client, f"{site.url}/old") == b"moved"


def test_a_redirect_to_an_address_that_no_rule_allows_is_refused(site, client):
    with web_server() as other:
        other.answers["/secret"] = b"secret"
        for place in (f"{other.url}/secret", "http://169.254.169.254/latest", "file:///etc/passwd"):
            site.answers["/away"] = redirect(place)
            with pytest.raises(PermissionDenied):
                whole(client, f"{site.url}/away")

        assert other.requests == []


def test_endless_redirects_end(site, client):
    site.answers["/loop"] = redirect("/loop")

    with pytest.raises(FailedPrecondition):
        whole(client, f"{site.url}/loop")


def test_a_name_that_resolves_to_loopback_is_refused(site):
    client = OutboundClient(Rules(("http",)))
    site.requests.clear()

    for host in (
        "localhost",
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ):
        with pytest.raises(PermissionDenied):
            whole(client, f"http://{host}:{site.port}/a")

    assert site.requests == []


def test_the_connection_is_made_to_the_checked_address_whatever_the_name_says_later(site, monkeypatch):
    site.answers["/a"] = b"content"
    answers = [[(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", site.port))]]
    real = socket.getaddrinfo

    def rebinding(host, *args, **kwargs):
        return answers.pop() if host == "rebinding.test" else real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    client = OutboundClient(Rules(("http://127.0.0.1/32",)))

    assert whole(client, f"http://rebinding.test:{site.port}/a") == b"content"  # a second look would fail
    assert site.requests[-1][1]["Host"] == f"rebinding.test:{site.port}"


def test_credentials_of_a_url_go_to_its_own_origin_only(site):
    with web_server() as other:
        client = OutboundClient(Rules((site.url, other.url)))
        site.answers["/start"] = redirect("/second")
        site.answers["/second"] = redirect(f"{other.url}/end")
        other.answers["/end"] = b"done"
        site.requests.clear()

        whole(client, f"http://user:pa%20ss@127.0.0.1:{site.port}/start")

        assert [headers.get("Authorization") for _, headers in site.requests] == [
            "Basic dXNlcjpwYSBzcw=="
        ] * 2
        assert "Authorization" not in other.requests[0][1]


@pytest.mark.parametrize(
    ("code", "error"),
    [(404, NotFound), (410, NotFound), (401, PermissionDenied), (403, PermissionDenied), (204, FailedPrecondition),
     (500, Unavailable)],
)  # fmt: skip
def test_a_status_that_is_no_file_is_an_error(site, client, code, error):
    site.answers["/status"] = status(code)

    with pytest.raises(error):
        whole(client, f"{site.url}/status")


def test_an_overloaded_server_is_asked_again(site, client, monkeypatch):
    monkeypatch.setattr(web, "_PAUSES", (0.0, 0.0))
    answers = [status(200), status(429), status(503)]
    site.answers["/busy"] = lambda handler: answers.pop()(handler)

    assert whole(client, f"{site.url}/busy") == b""


def test_an_answer_that_breaks_off_is_no_file(site, client):
    site.answers["/short"] = broken(1000, b"x" * 999)

    with pytest.raises(Unavailable):
        whole(client, f"{site.url}/short")


def test_a_file_beyond_the_limit_is_refused(site, client, monkeypatch):
    monkeypatch.setattr(limits, "URL_BYTES", 10)
    site.answers["/large"] = b"x" * 11

    with pytest.raises(InvalidArgument):
        whole(client, f"{site.url}/large")


def test_a_server_that_drips_is_left_at_the_deadline(site, client, monkeypatch):
    monkeypatch.setattr(limits, "URL_TIME", 0)
    monkeypatch.setattr(sockets, "_LOOK", 0.01)
    ended = threading.Event()

    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        ended.wait(30)

    site.answers["/drip"] = drip
    try:
        with pytest.raises(Unavailable):
            whole(client, f"{site.url}/drip")
    finally:
        ended.set()


def test_a_read_ends_when_nobody_waits_for_it(site, client, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(sockets, "_LOOK", 0.01)
    asked, ended = threading.Event(), threading.Event()

    def silent(handler):
        asked.set()
        ended.wait(30)

    site.answers["/silent"] = silent
    scope = Scope()
    with ThreadPoolExecutor(1) as executor:
        reading = scope.submit(executor, whole, client, f"{site.url}/silent")
        assert asked.wait(30)
        scope.cancel()
        try:
            with pytest.raises(Cancelled):
                reading.result(30)
        finally:
            ended.set()


def test_nothing_that_listens_is_an_error_that_may_be_tried_again(monkeypatch):
    monkeypatch.setattr(web, "_PAUSES", (0.0, 0.0))
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        port = occupied.getsockname()[1]
        with pytest.raises(Unavailable):
            whole(OutboundClient(Rules((f"http://127.0.0.1:{port}",))), f"http://127.0.0.1:{port}/x")


def test_https_needs_a_trusted_certificate(authority, monkeypatch):
    import ssl

    files = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def serve():
            for _ in range(2):
                plain, _ = listening.accept()
                with plain:
                    try:
                        with context.wrap_socket(plain, server_side=True) as secure:
                            secure.recv(4096)
                            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    except OSError:
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        client = OutboundClient(Rules((f"https://localhost:{port}",)))
        with pytest.raises(FailedPrecondition):
            whole(client, f"https://localhost:{port}/")
        monkeypatch.setattr(web, "_tls", lambda: ssl.create_default_context(cafile=str(authority.file)))
        assert whole(client, f"https://localhost:{port}/") == b"ok"
        thread.join()


def test_there_are_only_so_many_transfers_at_the_same_time(client, monkeypatch):
    monkeypatch.setattr(limits, "URL_TRANSFERS", 1)
    client = OutboundClient(Rules())

    with client.turn(), pytest.raises(ResourceExhausted), client.turn():
        pass
    with client.turn():
        pass


# --- objects ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bucket(s3):
    s3.make_bucket("outbound")
    return "s3://outbound"


@pytest.fixture
def buckets(s3, bucket, monkeypatch):
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    return OutboundClient(Rules((bucket,)))


@pytest.mark.parametrize("size", [0, 5, (8 << 20) + 5])
def test_an_object_is_read_as_it_was_written_and_replaced(buckets, bucket, size):
    data = os.urandom(size)
    for content in (b"before", data):
        pieces = (content[start : start + 3_000_000] for start in range(0, len(content), 3_000_000))
        buckets.write(f"{bucket}/dir/a b+%25.bin".replace(" ", "%20"), pieces, len(content))

    assert whole(buckets, f"{bucket}/dir/a%20b+%25.bin") == data


def test_objects_below_a_prefix_are_listed(buckets, bucket):
    for name in ("list/a", "list/b/c", "list", "lists/d"):
        buckets.write(f"{bucket}/{name}", [name.encode()], len(name))

    assert sorted(buckets.objects(f"{bucket}/list/")) == [("a", 6), ("b/c", 8)]
    assert sorted(buckets.objects(f"{bucket}/nothing")) == []


@pytest.mark.parametrize("key", ["absent", "absent/"])
def test_an_object_that_does_not_exist_is_not_found(buckets, bucket, key):
    with pytest.raises(NotFound):
        whole(buckets, f"{bucket}/{key}")


def test_a_bucket_that_does_not_exist_is_not_found(buckets):
    client = OutboundClient(Rules())
    with pytest.raises(NotFound):
        list(client.objects("s3://no-such-bucket-here/x"))
    with pytest.raises(TrunklineError):
        client.write("s3://no-such-bucket-here/x", [b"x"], 1)


def test_a_write_whose_content_fails_leaves_nothing(buckets, bucket):
    def failing():
        yield bytes(9 << 20)
        raise FailedPrecondition("the content is damaged")

    with pytest.raises(FailedPrecondition, match="damaged"):
        buckets.write(f"{bucket}/failing", failing(), 20 << 20)
    with pytest.raises(NotFound):
        whole(buckets, f"{bucket}/failing")


# --- files -----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def files(folder):
    return OutboundClient(Rules((f"file://{folder}",)))


def test_files_of_an_allowed_folder_are_written_listed_and_read(files, folder):
    files.write(f"file://{folder}/new/a", iter([b"one ", b"two"]), 7)

    assert sorted(files.objects(f"file://{folder}/new")) == [("a", 7)]
    assert whole(files, f"file://{folder}/new/a") == b"one two"
    assert os.listdir(folder / "new") == ["a"]


def test_links_do_not_lead_out_of_an_allowed_folder(files, folder, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (folder / "file").symlink_to(tmp_path / "secret")
    (folder / "folder").symlink_to(tmp_path)

    for name in ("file", "folder/secret"):
        with pytest.raises(PermissionDenied):
            whole(files, f"file://{folder}/{name}")
    with pytest.raises(PermissionDenied):
        files.write(f"file://{folder}/folder/new", [b"x"], 1)
    with pytest.raises(PermissionDenied):
        list(files.objects(f"file://{folder}/folder"))

    assert not (tmp_path / "new").exists()
