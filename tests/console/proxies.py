"""A TCP proxy between browser and server that can cut and delay connections, and counts requests."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter


class Proxy:
    """Forwards bytes to an address. A context."""

    def __init__(self, address: str) -> None:
        """Make it.

        Args:
            address: host and port of the server.
        """
        host, _, port = address.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        #: First lines of requests without their query, such as ``GET /events``.
        self.requests: Counter[str] = Counter()
        #: Seconds by which what the server sends is held back.
        self.delay = 0.0
        self._refuses = False
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Proxy:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._close_all()
        for thread in self._threads:
            thread.join(10)

    def cut(self) -> None:
        """End all connections and refuse new ones until ``restore``."""
        self._refuses = True
        self._close_all()

    def restore(self) -> None:
        """Accept connections again."""
        self._refuses = False

    def _close_all(self) -> None:
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _start(self, run: object, *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses:
                client.close()
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets |= {client, server}
            if self._refuses:  # since the connection was accepted
                self._close_all()
            self._start(self._forward, client, server, True)
            self._start(self._forward, server, client, False)

    def _forward(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if counts and (words := data.split(b" ", 2))[0] in (b"GET", b"POST", b"PUT", b"HEAD"):
                    path = words[1].partition(b"?")[0].decode()
                    self.requests[f"{words[0].decode()} {path}"] += 1
                elif not counts and self.delay:
                    time.sleep(self.delay)
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._sockets.discard(source)
        source.close()
