"""The handbook below ``/docs/``: files as the build stores them, and what a clone without it answers."""

from __future__ import annotations

import gzip
import json
from types import SimpleNamespace

import pytest
from exchange import Exchange

from trunkline.rpc.asgi.handbook import HandbookApplication

PAGE = b"<!doctype html><h1>Limits</h1>" * 20


@pytest.fixture
def folder(tmp_path):
    """Files as the build writes them: texts compressed only, with the hashes of inline scripts."""
    files = {
        "index.html.gz": gzip.compress(b"<h1>First page</h1>"),
        "404.html.gz": gzip.compress(b"<h1>No such page</h1>"),
        "reference/limits/index.html.gz": gzip.compress(PAGE),
        "reference/limits.md.gz": gzip.compress(b"# Limits"),
        "llms.txt.gz": gzip.compress(b"# Trunkline"),
        "assets/app.js.gz": gzip.compress(b"start();"),
        "assets/icon.png": b"\x89PNG",
        "policy.json": json.dumps({"scripts": ["sha256-abc="], "styles": []}).encode(),
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


async def get(folder, path, *, method="GET", **headers):
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    exchange = await Exchange(HandbookApplication(folder), path, method=method, headers=sent, base=()).ended()
    named = {name.decode(): value.decode() for name, value in exchange.headers.items()}
    return SimpleNamespace(status=exchange.status, headers=named, body=exchange.body)


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/docs/", "text/html; charset=utf-8", b"<h1>First page</h1>"),
        ("/docs/reference/limits/", "text/html; charset=utf-8", PAGE),
        ("/docs/reference/limits.md", "text/markdown; charset=utf-8", b"# Limits"),
        ("/docs/llms.txt", "text/plain; charset=utf-8", b"# Trunkline"),
        ("/docs/assets/app.js", "text/javascript; charset=utf-8", b"start();"),
        ("/docs/assets/icon.png", "image/png", b"\x89PNG"),
    ],
)
async def test_each_kind_of_file_has_its_content_type(folder, path, kind, body):
    answer = await get(folder, path)

    assert (answer.status, answer.headers["content-type"], answer.body) == (200, kind, body)


@pytest.mark.parametrize("path", ["/docs", "/docs/reference/limits"])
async def test_an_address_without_its_last_slash_leads_to_the_page(folder, path):
    answer = await get(folder, path)

    assert (answer.status, answer.headers["location"]) == (308, f"{path}/")


@pytest.mark.parametrize(
    "path",
    [
        "/docs/nowhere/",
        "/docs/../secret",
        "/docs/reference/../index.html",
        "/docs//",
        "/docs/reference/",
        "/docs/é",
    ],
)
async def test_an_unknown_address_is_the_page_for_such(folder, path):
    answer = await get(folder, path)

    assert (answer.status, answer.body) == (404, b"<h1>No such page</h1>")


async def test_texts_go_out_as_they_are_stored_to_clients_that_read_gzip(folder):
    answer = await get(folder, "/docs/reference/limits/", accept_encoding="gzip, br")

    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body) == PAGE


async def test_a_page_that_the_client_has_is_not_sent_again(folder):
    first = await get(folder, "/docs/reference/limits/")

    again = await get(folder, "/docs/reference/limits/", if_none_match=first.headers["etag"])

    assert (again.status, again.body) == (304, b"")


async def test_scripts_come_from_the_handbooks_files_or_are_known_by_hash(folder):
    answer = await get(folder, "/docs/", host="example.org:30650")

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src example.org:30650/docs/assets/ 'sha256-abc=';" in policy
    assert "unsafe" not in policy


async def test_only_reading_is_supported(folder):
    answer = await get(folder, "/docs/", method="POST")

    assert answer.status == 405


@pytest.mark.parametrize("path", ["/docs/", "/docs/reference/limits/"])
async def test_a_clone_without_the_handbook_says_how_to_build_it_and_links_to_nothing(tmp_path, path):
    answer = await get(tmp_path, path)

    assert (answer.status, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert b"scripts/docs build" in answer.body
    assert b"href=" not in answer.body
