"""A whole server with TLS: the command line, workers and the published SDK over it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from certificates import Authority
from pachyderm_sdk import Client
from servers import Server, ended, files_of, make_pipeline, make_repo, put, until

from trunkline.cli import config
from trunkline.client.channel import Channel
from trunkline.rpc.gen import version_pb2

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    running = Server(folder / "data", options=("--tls", "auto", "--listen", f"unix:{folder}/t.sock")).start()
    yield running
    running.terminate()
    running.close()


@pytest.fixture
def ca(server):
    return server.data / "tls" / "public" / "ca.pem"


@pytest.fixture
def client(server, ca):
    host, _, port = server.address.rpartition(":")
    client = Client(host, int(port), root_certs=ca.read_bytes())
    yield client
    client._channel.close()


def trunkline(*words, **variables):
    program = [sys.executable, "-m", "trunkline.cli", *words]
    return subprocess.run(program, env=os.environ | variables, capture_output=True, text=True, timeout=60)


def test_workers_process_files_that_the_sdk_put_over_tls(client):
    branch = make_repo(client, "words")
    pipeline = make_pipeline(client, "copy", "cp /pfs/words/* /pfs/out/", "words")

    job = ended(client, pipeline, put(client, branch, {"/a": b"1", "/b": b"2"}))

    assert job.data_processed == 2
    assert files_of(client, "copy@master") == {"/a": b"1", "/b": b"2"}


def test_the_command_line_takes_address_and_ca_from_the_environment(server, ca):
    outcome = trunkline("version", PACHD_ADDRESS=f"grpcs://{server.address}", PACH_CA_CERTS=str(ca))

    assert outcome.returncode == 0, outcome.stderr


def test_the_sdk_and_the_command_line_use_a_context_of_pachctl_with_a_ca(server, ca, tmp_path):
    context = {
        "pachd_address": f"grpcs://{server.address}",
        "server_cas": config.encoded(ca.read_bytes()),
    }
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"v2": {"active_context": "tls", "contexts": {"tls": context}}}))

    client = Client.from_config(file)
    version = client.get_version()
    client._channel.close()
    outcome = trunkline("version", PACH_CONFIG=str(file), HOME=str(tmp_path), XDG_CONFIG_HOME="")

    assert version.major == 2
    assert outcome.returncode == 0, outcome.stderr


def test_the_command_line_says_that_the_ca_is_unknown(server):
    outcome = trunkline("list", "repo", "--address", f"grpcs://{server.address}", PACH_CA_CERTS="")

    assert outcome.returncode == 6
    assert "unknown CA" in outcome.stderr


def test_the_unix_socket_is_plain(server):
    with Channel(f"unix:{server.data.parent}/t.sock") as channel:
        answer = channel.unary("/versionpb_v2.API/GetVersion", b"")

    assert version_pb2.Version.FromString(answer).major == 2


def test_workers_go_on_when_the_certificate_and_its_ca_are_replaced(authority, tmp_path):
    folder = tmp_path / "certificates"
    folder.mkdir()

    def install(issuer: Authority) -> Path:
        pair = issuer.issue("lab.example.org", "127.0.0.1")
        for source, name in ((issuer.file, "ca.crt"), (pair.key, "tls.key"), (pair.certificate, "tls.crt")):
            shutil.copy(source, folder / name)
        return pair.certificate

    def presented() -> str:
        host, _, port = server.address.rpartition(":")
        return ssl.get_server_certificate((host, int(port)), timeout=60)

    def sdk(issuer: Authority) -> Client:
        host, _, port = server.address.rpartition(":")
        return Client(host, int(port), root_certs=issuer.file.read_bytes())

    install(authority)
    files = ("--tls-cert", str(folder / "tls.crt"), "--tls-key", str(folder / "tls.key"))
    server = Server(tmp_path / "data", options=files).start()
    with contextlib.ExitStack() as stack:
        stack.callback(server.close)
        first = sdk(authority)
        stack.callback(first._channel.close)
        branch = make_repo(first, "words")
        pipeline = make_pipeline(first, "copy", "cp /pfs/words/* /pfs/out/", "words", autoscaling=False)
        ended(first, pipeline, put(first, branch, {"/a": b"1"}))
        workers = {process.pid for process in server.worker_processes()}

        other = Authority(tmp_path, "Other CA")
        expected = install(other).read_text()
        until(lambda: presented() == expected, "the new certificate")
        second = sdk(other)
        stack.callback(second._channel.close)
        job = ended(second, pipeline, put(second, branch, {"/b": b"2"}))

        assert (job.data_processed, job.data_skipped, job.data_recovered) == (1, 1, 0)
        assert {process.pid for process in server.worker_processes()} == workers


def test_a_certificate_that_cannot_be_used_prevents_the_start(tmp_path):
    (tmp_path / "tls.crt").write_text("nonsense")
    files = ("--tls-cert", str(tmp_path / "tls.crt"), "--tls-key", str(tmp_path / "tls.key"))

    outcome = trunkline("serve", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", *files)

    assert outcome.returncode == 2
    assert outcome.stdout == ""
    assert "tls.crt" in outcome.stderr.splitlines()[-1]
