"""The console's page and files below ``/ui/``, and where ``/`` and Pachyderm's addresses lead."""

from __future__ import annotations

import gzip
import re
from types import SimpleNamespace

import pytest
from exchange import Exchange

from trunkline.rpc.asgi.browsers import BrowserChecks
from trunkline.rpc.asgi.console import ConsoleApplication, address_of, page_policy
from trunkline.rpc.asgi.routing import Router

SCRIPT = b"export const answer = 42;\n" * 40


@pytest.fixture
def console(tmp_path):
    """Files as the build writes them: texts compressed only."""
    assets = tmp_path / "assets"
    assets.mkdir()
    (tmp_path / "index.html").write_text(
        '<html data-theme="system"><script src="/ui/assets/index-1a.js"></script>'
    )
    (assets / "index-1a.js.gz").write_bytes(gzip.compress(SCRIPT, mtime=0))
    (assets / "index-1a.js.br").write_bytes(b"brotli")
    (assets / "icon-2b.svg").write_bytes(b"<svg/>")
    return ConsoleApplication(tmp_path)


async def get(application, path, *, method="GET", **headers):
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return answered(await Exchange(application, path, method=method, headers=sent, base=()).ended())


def answered(exchange):
    """Return a response with the names and values of headers as text."""
    headers = {name.decode(): value.decode() for name, value in exchange.headers.items()}
    return SimpleNamespace(status=exchange.status, headers=headers, body=exchange.body)


@pytest.mark.parametrize("path", ["/ui/", "/ui/p/images/repos/a%2Fb", "/ui/nowhere", "/ui/assetsx"])
async def test_every_address_below_ui_is_the_page(console, path):
    answer = await get(console, path)

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"


async def test_the_licences_of_what_it_contains_are_a_text(console, tmp_path):
    (tmp_path / "NOTICE.txt").write_text("svelte (MIT)")

    answer = await get(console, "/ui/NOTICE.txt")

    assert (answer.status, answer.body) == (200, b"svelte (MIT)")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "path", ["/ui/assets/index-9z.js", "/ui/assets/", "/ui/assets/../index.html", "/ui/assets/index-1a.js.gz"]
)
async def test_an_unknown_asset_is_404_and_never_the_page(console, path):
    answer = await get(console, path)

    assert (answer.status, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("accepted", "encoding", "body"),
    [
        ("gzip, deflate, br, zstd", "br", b"brotli"),
        ("gzip", "gzip", gzip.compress(SCRIPT, mtime=0)),
        ("br;q=0, *", "gzip", gzip.compress(SCRIPT, mtime=0)),
        ("", None, SCRIPT),
        ("identity", None, SCRIPT),
    ],
)
async def test_an_asset_is_sent_in_the_smallest_encoding_that_the_client_takes(
    console, accepted, encoding, body
):
    answer = await get(console, "/ui/assets/index-1a.js", accept_encoding=accepted)

    assert answer.headers.get("content-encoding") == encoding
    assert answer.body[:4] + answer.body[8:] == body[:4] + body[8:]  # without the time in the head of gzip
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["vary"] == "accept-encoding"


@pytest.mark.parametrize("path", ["/ui/", "/ui/assets/index-1a.js", "/ui/assets/icon-2b.svg"])
async def test_a_client_that_has_a_file_gets_304_and_head_agrees_with_get(console, path):
    first = await get(console, path)

    again = await get(console, path, if_none_match=first.headers["etag"])
    head = await get(console, path, method="HEAD")

    assert (again.status, again.body) == (304, b"")
    assert {name: head.headers[name] for name in ("etag", "content-length")} == {
        name: first.headers[name] for name in ("etag", "content-length")
    }


@pytest.mark.parametrize(
    ("cookie", "theme"),
    [
        ("trunkline-theme=dark", "dark"),
        ("a=b; trunkline-theme=light", "light"),
        ('trunkline-theme="><script>', "system"),
        ("", "system"),
    ],
)
async def test_the_page_has_the_theme_of_the_cookie_before_any_script_runs(console, cookie, theme):
    answer = await get(console, "/ui/", cookie=cookie)

    assert f'<html data-theme="{theme}">' in answer.body.decode()


async def test_the_policy_admits_scripts_of_the_assets_folder_alone(console):
    policy = (await get(console, "/ui/")).headers["content-security-policy"]

    parts = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    assert parts["default-src"] == "'none'"
    for kind in ("script-src", "style-src", "worker-src"):
        assert re.fullmatch(r"[\w.:-]+/ui/assets/", parts[kind])
    assert parts["require-trusted-types-for"] == "'script'"
    assert parts["frame-ancestors"] == "'none'"


@pytest.mark.parametrize("host", ["localhost:1; script-src *", "[::1]:30650", "a b", ""])
def test_a_host_that_a_policy_cannot_name_does_not_get_into_it(host):
    assert "script-src 'self';" in page_policy(host)


async def test_a_checkout_without_a_build_says_how_to_get_one(tmp_path):
    answer = await get(ConsoleApplication(tmp_path), "/ui/")

    assert answer.status == 503
    assert "scripts/console build" in answer.body.decode()


@pytest.mark.parametrize(
    ("accept", "status"),
    [("text/html,application/xhtml+xml,*/*;q=0.8", 302), ("*/*", 200), ("", 200)],
)
async def test_the_top_of_the_server_leads_browsers_to_the_console_and_greets_programs(accept, status):
    router = Router(grpc=None, connect=None, mounts={}, browsers=BrowserChecks(["127.0.0.1:30650"]))
    exchange = Exchange(
        router, "/", method="GET", headers=[(b"accept", accept.encode())], base=(), host="127.0.0.1:30650"
    )

    answer = answered(await exchange.ended())

    assert answer.status == status
    assert answer.headers.get("location") == ("/ui/" if status == 302 else None)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/project/images", "/ui/p/images"),
        ("/lineage/images/", "/ui/p/images"),
        ("/lineage/images/pipelines/edges/jobs/0a1b", "/ui/p/images/pipelines/edges"),
        ("/project/images/repos/raw data/branch/master", "/ui/p/images/repos/raw%20data"),
        ("/project/images/jobs/subjobs", "/ui/p/images/jobs"),
        ("/project/images/create/pipeline", "/ui/p/images"),
        ("/project", "/ui/"),
        ("/project//evil.example", "/ui/"),
    ],
)
def test_an_address_of_pachyderms_console_leads_to_the_page_here(path, address):
    assert address_of(path) == address


async def test_other_methods_are_refused(console):
    answer = await get(console, "/ui/", method="POST")

    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
