"""HTTP servers with TLS and Unix sockets, and the renewal of certificates."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import grpc
import pytest
from certificates import DAY, Authority

from trunkline import errors
from trunkline.client.channel import Channel
from trunkline.client.trust import SYSTEM, Trust
from trunkline.rpc.asgi.server import Server
from trunkline.rpc.gen import health_pb2, version_pb2
from trunkline.runtime import certificates
from trunkline.runtime.certificates import Files
from trunkline.runtime.supervision import ServiceState

LIMIT = 60  # seconds to wait for a state before a test fails
GET_VERSION = "/versionpb_v2.API/GetVersion"


class Version:
    async def GetVersion(self, _request, _call):
        return version_pb2.Version(major=2)


@pytest.fixture
def files(authority, tmp_path):
    pair = authority.issue("localhost", "127.0.0.1")
    return Files(*(Path(shutil.copy(file, tmp_path)) for file in pair))


@pytest.fixture
async def http(http_server, files, tmp_path):
    return http_server(files, listen=("127.0.0.1:0", f"unix:{tmp_path}/t.sock"))


@pytest.fixture
async def server(http):
    started = Server(http)
    await started.serve({"versionpb_v2.API": Version()})
    yield started
    await started.stop(0)


@pytest.fixture
def trust(authority):
    return Trust((str(authority.file),))


async def version(address, trust=SYSTEM, seconds=LIMIT):
    with Channel(address, trust=trust) as channel:
        answer = await asyncio.to_thread(channel.unary, GET_VERSION, b"", seconds)
    return version_pb2.Version.FromString(answer).major


def presented(address):
    """Return the certificate that a server presents to a new connection."""
    host, _, port = address.rpartition(":")
    return ssl.get_server_certificate((host, int(port)), timeout=LIMIT)


async def test_the_own_client_uses_tls_by_tcp_and_none_on_the_unix_socket(server, http, trust):
    assert await version(f"grpcs://{server.address}", trust) == 2
    assert await version(http.addresses[1]) == 2


async def test_grpc_with_the_ca_uses_the_port(server, authority):
    credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
    async with grpc.aio.secure_channel(server.address, credentials) as channel:
        answer = await channel.unary_unary(GET_VERSION)(b"", timeout=LIMIT)

    assert version_pb2.Version.FromString(answer).major == 2


@pytest.mark.parametrize("http_version", ["2", "1.1"])
async def test_json_is_served_over_tls_to_a_page_of_its_own(server, authority, http_version):
    command = ["curl", "--silent", "--show-error", f"--http{http_version}", "--cacert", str(authority.file)]
    command += ["-H", "content-type: application/json", "-H", f"origin: https://{server.address}", "-d", "{}"]
    command += ["--write-out", " %{http_version}", f"https://{server.address}/api{GET_VERSION}"]

    run = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, check=False
    )

    assert run.stderr == ""
    answer, used = run.stdout.rsplit(" ", 1)
    assert json.loads(answer)["major"] == 2
    assert used == http_version


async def test_a_plain_client_is_told_to_use_tls(server):
    with pytest.raises(errors.Unavailable, match="grpcs://"):
        await version(server.address)


@pytest.mark.parametrize(
    "start", [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0" * 64]
)
async def test_what_is_not_tls_ends_its_connection_alone(server, trust, start):
    host, _, port = server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(start)

    async with asyncio.timeout(LIMIT):
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
    writer.close()

    assert await version(f"grpcs://{server.address}", trust) == 2


async def test_a_tls_client_of_a_plain_server_is_told_so(http_server, trust):
    plain = Server(http_server())
    await plain.serve({"versionpb_v2.API": Version()})

    with pytest.raises(errors.Unavailable, match="grpc://"):
        await version(f"grpcs://{plain.address}", trust, seconds=1)
    await plain.stop(0)


async def test_a_new_certificate_is_used_while_running_streams_go_on(server, http, files, authority, trust):
    credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
    new = authority.issue("localhost", "127.0.0.1")
    async with grpc.aio.secure_channel(server.address, credentials) as channel:
        states = channel.unary_stream(
            "/grpc.health.v1.Health/Watch", response_deserializer=health_pb2.HealthCheckResponse.FromString
        )(health_pb2.HealthCheckRequest(service="trunkline/retention").SerializeToString(), timeout=LIMIT)
        await states.read()
        before = await asyncio.to_thread(presented, server.address)

        shutil.copy(new.certificate, files.certificate)
        shutil.copy(new.key, files.key)
        await http.renew_certificate()
        after = await asyncio.to_thread(presented, server.address)
        server.report("retention", ServiceState.RUNNING)
        state = await states.read()

        assert (await channel.unary_unary(GET_VERSION)(b"", timeout=LIMIT)) is not None
        states.cancel()
    assert before != after
    assert after == new.certificate.read_text()
    assert state.status == health_pb2.HealthCheckResponse.SERVING
    assert await version(f"grpcs://{server.address}", trust) == 2


async def test_a_certificate_that_cannot_be_used_leaves_the_old_one_in_use(
    server, http, files, authority, trust
):
    shutil.copy(authority.issue("localhost").key, files.key)

    with pytest.raises(errors.InvalidArgument):
        await http.renew_certificate()

    assert await version(f"grpcs://{server.address}", trust) == 2


async def test_a_certificate_that_cannot_be_used_prevents_the_start(http_server, files):
    files.key.write_text("nonsense")
    server = Server(http_server(files))

    with pytest.raises(errors.InvalidArgument):
        await server.serve({"versionpb_v2.API": Version()})

    await server.stop(0)


def test_a_certificate_is_read(authority):
    pair = authority.issue("lab.example.org", "10.0.0.1")

    facts = certificates.check(Files(*pair), time.time())

    assert facts.names == ("lab.example.org", "10.0.0.1")
    assert facts.ends - time.time() == pytest.approx(DAY.total_seconds(), abs=60)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("another key", "does not match"),
        ("expired", "has expired"),
        ("not yet valid", "is valid from"),
        ("no certificate", "cannot read the certificate"),
        ("no key", "cannot read the key"),
        ("garbled certificate", "not a certificate"),
        ("garbled key", "not a private key"),
        ("encrypted key", "encrypted"),
    ],
)
def test_files_that_cannot_be_used_are_named_with_the_reason(tmp_path, case, message):
    authority = Authority(tmp_path)
    pair = authority.issue("localhost")
    match case:
        case "another key":
            pair = pair._replace(key=authority.issue("localhost").key)
        case "expired":
            pair = authority.issue("localhost", begins=-2 * DAY, ends=-DAY)
        case "not yet valid":
            pair = authority.issue("localhost", begins=DAY / 2)
        case "no certificate":
            pair.certificate.unlink()
        case "no key":
            pair.key.unlink()
        case "garbled certificate":
            pair.certificate.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        case "garbled key":
            pair.key.write_bytes(b"\0\1\2")
        case "encrypted key":
            authority.encrypt(pair.key)

    with pytest.raises(errors.InvalidArgument, match=message):
        certificates.check(Files(*pair), time.time())
