"""The stream of events: one for all tabs, and nothing missed when it is cut, late or replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pachyderm_sdk.api import pfs
from proxies import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Watched
    from playwright.sync_api import Page
    from servers import Server

TABS = 12
REPOS = "/ui/p/default/repos"


@pytest.fixture
def proxy(shared: Server) -> Iterator[Proxy]:
    with Proxy(shared.address) as proxy:
        yield proxy


def live(page: Page) -> None:
    page.get_by_text("Live", exact=True).wait_for()


def test_twelve_tabs_share_one_stream_on_plain_http(
    watch: Callable[..., Watched], proxy: Proxy, shared: Server
) -> None:
    context = watch(proxy.origin).context
    pages = [context.new_page() for _ in range(TABS)]
    for page in pages:
        page.goto(REPOS)
    for page in pages:
        live(page)

    shared.client().pfs.create_repo(repo=pfs.Repo(name="for-all-tabs"))

    for page in pages:
        page.get_by_text("for-all-tabs").first.wait_for()
    assert proxy.requests["GET /events"] <= 3  # one, and one more when its topics change


def test_a_page_catches_up_after_its_stream_was_cut(
    watch: Callable[..., Watched], proxy: Proxy, shared: Server
) -> None:
    watched = watch(proxy.origin)
    watched.expect("ERR_|Failed to load resource")
    page = watched.context.new_page()
    page.goto(REPOS)
    shared.client().pfs.create_repo(repo=pfs.Repo(name="before-the-cut"))
    page.get_by_text("before-the-cut").first.wait_for()  # so the stream has begun

    proxy.cut()
    page.locator("main").get_by_text("No connection to the server").wait_for()
    shared.client().pfs.create_repo(repo=pfs.Repo(name="made-while-cut"))
    proxy.restore()

    live(page)
    page.get_by_text("made-while-cut").first.wait_for()


def test_a_late_stream_shows_what_happened(
    watch: Callable[..., Watched], proxy: Proxy, shared: Server
) -> None:
    page = watch(proxy.origin).context.new_page()
    page.goto(REPOS)
    live(page)

    proxy.delay = 2.0
    shared.client().pfs.create_repo(repo=pfs.Repo(name="two-seconds-late"))

    page.get_by_text("two-seconds-late").first.wait_for()


def test_a_restart_of_the_server_is_survived(watch: Callable[..., Watched], server: Server) -> None:
    watched = watch(f"http://{server.address}")
    watched.expect("ERR_|Failed to load resource")
    page = watched.context.new_page()
    page.goto(REPOS)
    live(page)

    server.terminate()
    server.start()
    server.client().pfs.create_repo(repo=pfs.Repo(name="after-the-restart"))

    page.get_by_text("after-the-restart").first.wait_for()
    live(page)


def test_a_clock_that_is_wrong_by_an_hour_shows_no_negative_ages(
    watch: Callable[..., Watched], shared: Server, origin: str
) -> None:
    client = shared.client()
    client.pfs.create_repo(repo=pfs.Repo(name="just-made"))
    with client.pfs.commit(branch=pfs.Branch.from_uri("just-made@master")) as commit:
        commit.put_file_from_bytes("/a", b"a")
    watched = watch(origin)
    page = watched.context.new_page()
    page.add_init_script("const now = Date.now; Date.now = () => now() - 3600_000;")

    page.goto(REPOS)
    live(page)

    row = page.get_by_role("row").filter(has_text="just-made")
    assert "-" not in row.locator("time").first.inner_text()
    assert "hour" not in row.locator("time").first.inner_text()
