"""The monitoring address: ``/metrics``, ``/livez`` and ``/readyz`` over plain HTTP, on an address of its own.

A scrape reads gauges from the database in the thread of its request; nothing here touches the event loop, so that
a busy server still answers its probes.
"""

from __future__ import annotations

import json
import logging
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily

from trunkline import errors
from trunkline.pps import gauges
from trunkline.runtime.supervision import ServiceState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.store_log import StoreLog
    from trunkline.runtime.supervision import Supervisor

log = logging.getLogger("trunkline.app")

#: Seconds that a request may take to arrive; a client that stays silent holds a thread.
REQUEST_TIMEOUT = 5.0
#: Service states of a server that is ready.
_GOOD = (ServiceState.RUNNING, ServiceState.ENDED)


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


class MonitoringServer:
    """Serves the three paths in threads of its own."""

    def __init__(
        self, listen: str, registry: CollectorRegistry, supervisor: Supervisor, ready: Callable[[], None]
    ) -> None:
        """Listen on the address.

        Args:
            listen: HOST:PORT; port 0 takes any free one.
            registry: the metrics.
            supervisor: knows the background services and runs this one.
            ready: raises when the database or the store cannot be used.

        Raises:
            InvalidArgument: ``listen`` is not HOST:PORT.
            Unavailable: the address cannot be listened on.
        """
        host, _, port = listen.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise errors.InvalidArgument(f'cannot serve metrics on "{listen}": write HOST:PORT')
        try:
            handler = _handler(registry, supervisor, ready)
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


def _handler(
    registry: CollectorRegistry, supervisor: Supervisor, ready: Callable[[], None]
) -> type[BaseHTTPRequestHandler]:
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
                self._readiness()
            else:
                self._answer(404, b"not found; use /metrics, /livez or /readyz\n", "text/plain")

        def _readiness(self) -> None:
            services = {name: str(state) for name, state in supervisor.states().items()}
            bad = [name for name, state in supervisor.states().items() if state not in _GOOD]
            problem = f"services that do not run: {', '.join(bad)}" if bad else ""
            if not problem:
                try:
                    ready()
                except errors.TrunklineError as error:
                    problem = error.message
            body = json.dumps({"ready": not problem, "problem": problem, "services": services}) + "\n"
            self._answer(503 if problem else 200, body.encode(), "application/json")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            log.debug(format, *args, extra={"action": "monitoring_request"})

    return Handler
