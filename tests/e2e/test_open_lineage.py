"""OpenLineage events reach a server that was away, through a restart of ours."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from servers import Server, job_of, make_pipeline, make_repo, put, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

import pytest


class Collector:
    """A server that takes events while it does not refuse them."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.refused = 0
        self.refuses = False
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if collector.refuses:
                    collector.refused += 1
                else:
                    assert self.path == "/api/v1/lineage"
                    collector.keys.add(self.headers["authorization"])
                    collector.events.append(json.loads(body))
                self.send_response(503 if collector.refuses else 201)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def of(self, run: str, kind: str) -> dict[str, Any] | None:
        """Return the newest event of a kind that has this version as its output."""
        for event in reversed(self.events):
            versions = [each["facets"]["version"]["datasetVersion"] for each in event["outputs"]]
            if event["eventType"] == kind and versions == [run]:
                return event
        return None


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.mark.slow  # a restart after a refused event
def test_events_are_sent_with_versions_and_files_and_none_is_lost(
    collector: Collector, tmp_path: Path
) -> None:
    environment = {"OPENLINEAGE_URL": collector.url, "OPENLINEAGE_API_KEY": "key"}
    server = Server(tmp_path / "data", environment=environment).start()
    try:
        client = server.client()
        branch = make_repo(client, "in")
        pipeline = make_pipeline(client, "copy", "cp /pfs/in/* /pfs/out", "in")
        first = put(client, branch, {"/a": b"1", "/b": b"2"})
        complete = until(lambda: collector.of(first, "COMPLETE"), "the first job's event")
        start = collector.of(first, "START")
        collector.refuses = True
        second = put(client, branch, {"/a": b"one"})
        client.pps.inspect_job(job=job_of(pipeline, second), wait=True)
        until(lambda: collector.refused or None, "an event that is refused")
        server.kill()
        collector.refuses = False
        server.start()
        later = until(lambda: collector.of(second, "COMPLETE"), "the second job's event after a restart")
    finally:
        server.close()

    assert start is not None
    assert start["run"]["runId"] == complete["run"]["runId"] != later["run"]["runId"]
    assert complete["job"]["name"] == "default/copy"
    [dataset] = later["inputs"]
    assert (dataset["name"], dataset["facets"]["version"]["datasetVersion"]) == ("default/in", second)
    assert dataset["inputFacets"]["subset"]["inputCondition"] == {"type": "location", "locations": ["/a"]}
    [dataset] = complete["outputs"]
    assert dataset["outputFacets"]["subset"]["outputCondition"]["locations"] == ["/a", "/b"]
    assert collector.keys == {"Bearer key"}
