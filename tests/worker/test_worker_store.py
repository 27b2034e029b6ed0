"""A worker that is offered the object store itself, in every world: what it puts, and when it sends bytes after all."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fake_server import assignment

from trunkline.formats.pack_format import read_table, table_rows

LARGE = 9 << 20
#: Writes one large output and one small.
WRITE = ["sh", "-c", f"head -c {LARGE} /dev/zero > /pfs/out/large; echo small > /pfs/out/small"]
WRITE_ANYWHERE = [part.replace("/pfs/out", "$PFS_ROOT/out") for part in WRITE]


class Store(ThreadingHTTPServer):
    """Takes every PUT and keeps it, or refuses them all."""

    def __init__(self) -> None:
        store = self
        self.bodies: list[bytes] = []
        self.status = 200

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                store.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(store.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/packs/aa/given?signed"

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


@pytest.fixture
def store(server):
    store = Store()
    server.pack_url = store.url
    yield store
    store.close()


OUTPUTS = {(0, "/large"): bytes(LARGE), (0, "/small"): b"small\n"}


def test_a_server_that_does_not_know_the_pack_gets_the_bytes(server, workers_anywhere, store):
    """As after a restart of the server between its offer and the completion."""
    assignment(server, {"in": {"/a": b""}}, WRITE_ANYWHERE)
    server.assignments[-1].direct = True

    workers_anywhere.run()

    [pack] = server.packs
    [body] = store.bodies
    assert len(body) == pack.size
    table = read_table(pack.pack, len(body), lambda start, size: body[start : start + size])
    assert [length for *_, length, _ in table_rows(table)] == [2 << 20, 1 << 20]  # equal chunks are one
    assert len(body) < LARGE // 10  # zeros
    assert server.outputs() == OUTPUTS


def test_a_store_that_refuses_costs_one_try_and_a_line_in_the_log(server, workers, store):
    store.status = 403
    for _ in range(2):
        assignment(server, {"in": {"/a": b""}}, WRITE)
        server.assignments[-1].direct = True

    workers.run()

    assert len(store.bodies) == 1
    assert [outputs for _, outputs, _ in server.completions] == [OUTPUTS, OUTPUTS]
    [line] = [line for line in server.log(system=True) if b"object store" in line]
    assert b"refuses (403" in line
    assert b"signed" not in line


def test_nothing_is_offered_when_the_server_does_not_say_that_it_can(server, workers, store):
    assignment(server, {"in": {"/a": b""}}, WRITE)

    workers.run()

    assert store.bodies == []
    assert server.outputs() == OUTPUTS
