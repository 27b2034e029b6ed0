"""``/events`` in a real browser: Chromium shows a page of another origin, which the server is configured to admit."""

from __future__ import annotations

import http.server
import json
import queue
import shutil
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pachyderm_sdk.api import pfs
from patience import PATIENCE
from servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Reports each event, and each error of the stream, to where the page came from.
PAGE = """<!doctype html><title>events</title><script>
const report = (fields) => fetch("/report", {method: "POST", body: JSON.stringify(fields)});
const source = new EventSource("http://ADDRESS/events?kind=repo");
for (const name of ["open", "repo", "reset", "end"])
    source.addEventListener(name, (event) =>  // EventSource has an "open" of its own, without data
        event.data && report({name, id: event.lastEventId, data: JSON.parse(event.data)}));
source.onerror = () => report({name: "error", closed: source.readyState === EventSource.CLOSED});
</script>"""


class Site:
    """A site with one page, and what the page has reported. A context."""

    def __init__(self) -> None:
        self.page = ""
        self.reports: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(site.page.encode())

            def do_POST(self) -> None:
                site.reports.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Site:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def until(self, name: str) -> dict[str, Any]:
        """Return the next report with this name."""
        while (report := self.reports.get(timeout=PATIENCE))["name"] != name:
            pass
        return report


@contextmanager
def browser(url: str, folder: Path) -> Iterator[None]:
    """Show a page in Chromium."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-background-networking", "--proxy-server=direct://", f"--user-data-dir={folder}"]
    command += ["--remote-debugging-port=0", url]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
@pytest.mark.parametrize("http_server", ["h2corn", "hypercorn"])
def test_a_page_in_a_browser_sees_events_and_misses_none_across_a_restart(
    tmp_path: Path, http_server: str
) -> None:
    with Site() as site:
        options = ("--http-server", http_server, "--allow-origin", site.origin)
        server = Server(tmp_path / "data", options=options).start()
        try:
            site.page = PAGE.replace("ADDRESS", server.address)
            with browser(site.origin, tmp_path / "profile"):
                opened = site.until("open")
                server.client().pfs.create_repo(repo=pfs.Repo(name="first"))
                first = site.until("repo")
                server.terminate()
                ended = site.until("end")
                server.start()
                second = pfs.Repo(name="second")
                server.client().pfs.create_repo(repo=second)
                missed = site.until("repo")
        finally:
            server.close()

    assert opened["id"]
    assert (first["data"]["repo"], first["data"]["state"]) == ("first", "CREATED")
    assert ended["data"] == {"reason": "stopping"}
    assert missed["data"]["repo"] == "second"
