"""Serves metrics, on the port of the API and on an address of its own, where the probes are too.

A scrape reads gauges from the database in a thread. Nothing at the address of its own touches the event loop, so that
a busy server still answers there.
"""

from __future__ import annotations

import asyncio
import logging
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily

from trunkline import errors
from trunkline.pps import gauges
from trunkline.rpc.asgi.responses import respond, respond_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

    from trunkline.app.probes import Readiness
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.store_log import StoreLog
    from trunkline.rpc.asgi.types import Receive, Scope, Send
    from trunkline.runtime.supervision import Supervisor

log = logging.getLogger("trunkline.app")

#: Seconds that a request may take to arrive; a client that stays silent holds a thread.
REQUEST_TIMEOUT = 5.0


class StateCollector:
    """Reads the gauges that come from the database, and the age of the store's log, at each scrape."""

    def __init__(self, versions: VersionedStore, store_log: StoreLog) -> None:
        self._versions = versions
        self._store_log = store_log

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering does not read the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        state = self._versions.read(gauges.read, self._versions.clock.now())
        labels = ["project", "pipeline"]
        queue = GaugeMetricFamily("trunkline_queue_depth", "Datums that wait for a worker.", labels=labels)
        oldest = GaugeMetricFamily(
            "trunkline_queue_oldest_seconds",
            "Age of the oldest unfinished job; 0 without one.",
            labels=labels,
        )
        workers = GaugeMetricFamily("trunkline_workers", "Workers by state.", labels=[*labels, "state"])
        states = GaugeMetricFamily(
            "trunkline_pipeline_state", "1 for the state that a pipeline is in.", labels=[*labels, "state"]
        )
        for entry in state.pipelines:
            name = [entry.project, entry.pipeline]
            queue.add_metric(name, entry.queue)
            oldest.add_metric(name, entry.oldest)
            states.add_metric([*name, entry.state], 1)
            for worker_state, count in entry.workers.items():
                workers.add_metric([*name, worker_state], count)
        storage = GaugeMetricFamily(
            "trunkline_storage_bytes",
            "Bytes by kind: written by clients and workers, in chunks after deduplication, stored.",
            labels=["kind"],
        )
        for kind, count in state.storage.items():
            storage.add_metric([kind], count)
        ratio = GaugeMetricFamily("trunkline_dedup_ratio", "Bytes written per byte in chunks, at least 1.")
        written, chunks = state.storage["written"], state.storage["chunks"]
        ratio.add_metric([], max(1.0, written / chunks) if chunks else 1.0)
        age = GaugeMetricFamily(
            "trunkline_store_log_age_seconds",
            "Time since everything that was acknowledged was in the object store.",
        )
        age.add_metric([], self._store_log.age)
        yield from (queue, oldest, workers, states, storage, ratio, age)


class MetricsApplication:
    """Answers ``/metrics`` on the port of the API. One scrape runs at a time, because each reads the database."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._scraping = asyncio.Lock()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["path"] != "/metrics":
            await respond_text(send, 404, f"nothing is served at {scope['path']}; use /metrics")
        elif scope["method"] not in ("GET", "HEAD"):
            await respond_text(send, 405, f"{scope['method']} is not supported for metrics; use GET")
        else:
            async with self._scraping:
                body = await asyncio.to_thread(generate_latest, self._registry)
            await respond(send, 200, body, CONTENT_TYPE_LATEST.encode())


class MonitoringServer:
    """Serves metrics and probes in threads of its own."""

    def __init__(
        self, listen: str, registry: CollectorRegistry, readiness: Readiness, supervisor: Supervisor
    ) -> None:
        """Listen on the address.

        Args:
            listen: HOST:PORT; port 0 takes any free one.
            registry: the metrics.
            readiness: of the server.
            supervisor: runs this.

        Raises:
            InvalidArgument: ``listen`` is not HOST:PORT.
            Unavailable: the address cannot be listened on.
        """
        host, _, port = listen.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise errors.InvalidArgument(f'cannot serve metrics on "{listen}": write HOST:PORT or on')
        try:
            handler = _handler(registry, readiness)
            self._server = ThreadingHTTPServer((host.strip("[]"), int(port)), handler)
        except OSError as error:
            raise errors.Unavailable(
                f"cannot serve metrics on {listen}: {error.strerror}; choose another address with --metrics"
            ) from error
        self._server.daemon_threads = True
        self.address = f"{host}:{self._server.server_address[1]}"
        self._thread = supervisor.thread("monitoring", self._server.serve_forever)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(registry: CollectorRegistry, readiness: Readiness) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_TIMEOUT
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path == "/metrics":
                self._answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)
            elif path == "/livez":
                self._answer(200, b"ok\n", "text/plain")
            elif path in ("/readyz", "/healthz"):
                self._answer(*readiness.answer(), "application/json")
            else:
                self._answer(404, b"not found; use /metrics, /livez or /readyz\n", "text/plain")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            log.debug(format, *args, extra={"action": "monitoring_request"})

    return Handler
