"""Pipelines whose commands run in containers, with the unmodified SDK, real workers and a real engine."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import urllib.request
from typing import TYPE_CHECKING

import grpc
import podman
import pytest
from pachyderm_sdk.api import pfs, pps
from servers import ENDS, Server, make_pipeline, make_repo, put, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pachyderm_sdk import Client


@pytest.fixture(scope="module")
def server(engine: podman.Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(
        tmp_path_factory.mktemp("server") / "data",
        environment={"DOCKER_HOST": engine.url},
        options=("--fleet", "auto", "--launcher", str(engine.launcher)),
    ).start()
    yield server
    server.close()


@pytest.fixture
def client(server: Server, engine: podman.Podman) -> Iterator[Client]:
    client = server.client()
    yield client
    client.pps.delete_all()
    client.pfs.delete_all()
    until(lambda: not engine.containers(), "the end of all containers")


@pytest.fixture
def restarting(engine: podman.Podman, tmp_path: Path) -> Iterator[Server]:
    """A server of its own, for a test that kills it."""
    server = Server(
        tmp_path / "data",
        environment={"DOCKER_HOST": engine.url},
        options=("--fleet", "containers", "--launcher", str(engine.launcher)),
    ).start()
    yield server
    server.close()
    engine.run("rm", "--all", "--force")


def runs_sleep(engine: podman.Podman) -> bool:
    """Whether a container runs the command sleep."""
    return any(
        "sleep" in engine.run("top", name, "args")
        for name in engine.run("ps", "--format", "{{.Names}}").split()
    )


def in_image(script: str, image: str = podman.BUSYBOX, **more: object) -> pps.Transform:
    return pps.Transform(image=image, cmd=["sh", "-e", "-c", script], **more)


def end_of(client: Client, pipeline: pps.Pipeline, commit: str) -> pps.JobInfo:
    def look() -> pps.JobInfo | None:
        info = client.pps.inspect_job(job=pps.Job(pipeline=pipeline, id=commit), details=True)
        return info if info.state in ENDS else None

    return until(look, "the end of the job")


def read(client: Client, pipeline: str, commit: str, path: str) -> bytes:
    repo = pfs.Repo(name=pipeline, type="user")
    commit_ = pfs.Commit(id=commit, repo=repo, branch=pfs.Branch(repo=repo, name="master"))
    with client.pfs.pfs_file(file=pfs.File(commit=commit_, path=path)) as file:
        return file.read()


def test_a_command_runs_in_its_image_and_sees_only_its_datum(client, server, engine):
    branch = make_repo(client, "texts")
    script = (
        "cp /pfs/texts/* /pfs/out/; test ! -e /pfs/texts/none; ls / > /pfs/out/root; ln -s $texts /pfs/out/link;"
        f" test ! -e {server.data} && echo hidden > /pfs/out/data"
    )
    pipeline = make_pipeline(client, "copies", "", "texts", transform=in_image(script))

    commit = put(client, branch, {"/a.txt": b"a"})
    info = end_of(client, pipeline, commit)

    assert info.state == pps.JobState.JOB_SUCCESS, info.reason
    assert read(client, "copies", commit, "/a.txt") == b"a"
    assert read(client, "copies", commit, "/link") == b"a"
    assert b"launcher\n" in read(client, "copies", commit, "/root")
    assert read(client, "copies", commit, "/data") == b"hidden\n"


def test_an_image_with_another_user_reads_and_writes(client):
    branch = make_repo(client, "texts")
    script = "id -u > /pfs/out/user; cat /pfs/texts/a.txt >> /pfs/out/user; umask 077;"
    script += " mkdir /pfs/out/d; echo x > /pfs/out/d/f"
    pipeline = make_pipeline(client, "users", "", "texts", transform=in_image(script, podman.OTHER_USER))

    commit = put(client, branch, {"/a.txt": b"a"})
    info = end_of(client, pipeline, commit)

    assert info.state == pps.JobState.JOB_SUCCESS, info.reason
    assert read(client, "users", commit, "/user") == b"1234\na"
    assert read(client, "users", commit, "/d/f") == b"x\n"


def test_with_auto_a_pipeline_without_an_image_runs_as_a_process(client, engine):
    branch = make_repo(client, "texts")
    pipeline = make_pipeline(client, "plain", 'python3 -c \'open("/pfs/out/x", "w")\'', "texts")

    commit = put(client, branch, {"/a.txt": b"a"})
    info = end_of(client, pipeline, commit)

    assert info.state == pps.JobState.JOB_SUCCESS, info.reason


@pytest.mark.parametrize("image", [podman.BUSYBOX, podman.OTHER_USER], ids=["root", "another user"])
def test_a_command_reads_secrets_as_files_and_variables_and_cannot_change_them(client, image):
    client.pps.create_secret(name="db", data={"password": "hunter2", "user": "me"})
    branch = make_repo(client, "texts")
    script = (
        'cat /secrets/db/password > /pfs/out/file; ls /secrets/db > /pfs/out/names; echo "$PW" > /pfs/out/variable;'
        " ! touch /secrets/db/more 2> /pfs/out/refused; ! sh -c 'echo x > /secrets/db/user' 2>> /pfs/out/refused"
    )
    mounts = [
        pps.SecretMount(name="db", mount_path="/secrets/db"),
        pps.SecretMount(name="db", key="password", env_var="PW"),
    ]
    pipeline = make_pipeline(client, "reads", "", "texts", transform=in_image(script, image, secrets=mounts))

    commit = put(client, branch, {"/a.txt": b"a"})
    info = end_of(client, pipeline, commit)

    assert info.state == pps.JobState.JOB_SUCCESS, info.reason
    assert read(client, "reads", commit, "/file") == b"hunter2"
    assert read(client, "reads", commit, "/names") == b"password\nuser\n"
    assert read(client, "reads", commit, "/variable") == b"hunter2\n"
    client.pps.delete_secret(secret=pps.Secret(name="db"))


def test_gpus_that_the_engine_does_not_give_are_refused_or_the_reason_of_the_pipeline(client, engine):
    branch = make_repo(client, "texts")
    put(client, branch, {"/a.txt": b"a"})
    gpus = pps.ResourceSpec(gpu=pps.GpuSpec(type="nvidia.com/gpu", number=1))
    with contextlib.closing(engine.engine()) as connection:
        lack = connection.lacks_devices

    def create() -> pps.Pipeline:
        return make_pipeline(client, "trains", "", "texts", transform=in_image("true"), resource_limits=gpus)

    if lack:
        with pytest.raises(grpc.RpcError, match="Podman"):
            create()
        return
    pipeline = create()

    until(lambda: "gpu" in client.pps.inspect_pipeline(pipeline=pipeline, details=True).reason, "the reason")


def test_a_missing_command_fails_the_datum_with_its_name(client):
    branch = make_repo(client, "texts")
    transform = pps.Transform(image=podman.BUSYBOX, cmd=["no-such-program"])
    pipeline = make_pipeline(client, "missing", "", "texts", transform=transform, datum_tries=1)

    commit = put(client, branch, {"/a.txt": b"a"})
    info = end_of(client, pipeline, commit)

    assert info.state == pps.JobState.JOB_FAILURE
    assert "no-such-program" in info.reason


def test_a_command_that_exceeds_the_memory_of_its_container_fails_for_that_reason(client):
    branch = make_repo(client, "texts")
    script = "x=0123456789abcdef; while true; do x=$x$x; done"
    pipeline = make_pipeline(
        client,
        "greedy",
        "",
        "texts",
        transform=in_image(script),
        datum_tries=1,
        resource_limits=pps.ResourceSpec(memory="32Mi"),
    )

    commit = put(client, branch, {"/a.txt": b"a"})
    info = end_of(client, pipeline, commit)

    assert info.state == pps.JobState.JOB_FAILURE
    assert "memory" in info.reason


def test_a_container_that_ends_while_a_command_runs_costs_an_attempt_and_comes_back(client, engine):
    branch = make_repo(client, "texts")
    script = "echo begun > /pfs/out/begun; if [ ! -e /tmp/again ]; then touch /tmp/again; sleep 1000; fi"
    pipeline = make_pipeline(client, "lost", "", "texts", transform=in_image(script), datum_tries=2)
    commit = put(client, branch, {"/a.txt": b"a"})
    until(lambda: runs_sleep(engine), "the command")
    [name] = engine.containers()
    pid = int(engine.run("inspect", "--format", "{{.State.Pid}}", name))

    os.kill(pid, 9)
    info = end_of(client, pipeline, commit)

    assert info.state == pps.JobState.JOB_SUCCESS, info.reason
    assert info.data_processed == 1


def test_an_image_that_does_not_exist_shows_as_the_pipelines_reason(client):
    branch = make_repo(client, "texts")
    pipeline = make_pipeline(
        client, "nowhere", "", "texts", transform=in_image("true", "localhost:1/nobody/nothing:1")
    )
    put(client, branch, {"/a.txt": b"a"})

    def reason() -> str:
        info = client.pps.inspect_pipeline(pipeline=pipeline, details=True)
        return info.reason if "cannot be pulled" in info.reason else ""

    assert "localhost:1/nobody/nothing:1" in until(reason, "the reason")


def test_containers_of_a_killed_server_end_and_the_next_one_runs_the_datum(restarting, engine):
    client = restarting.client()
    branch = make_repo(client, "texts")
    pipeline = make_pipeline(client, "survives", "", "texts", transform=in_image("sleep 1000"))
    put(client, branch, {"/a.txt": b"a"})
    until(lambda: runs_sleep(engine), "the command")
    [first] = engine.containers()

    restarting.kill()
    until(lambda: engine.run("ps", "--format", "{{.Names}}") == "", "the container's end")
    restarting.start()
    until(lambda: runs_sleep(engine), "the command in the next container")
    [second] = engine.containers()
    restarting.client().pps.delete_pipeline(pipeline=pipeline)
    until(lambda: not engine.containers(), "the removal")

    assert second != first


def test_the_port_of_a_service_in_a_container_is_published_and_shows_each_commit(client, server, engine):
    branch = make_repo(client, "pages")
    put(client, branch, {"/page": b"one"})
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    client.pps.create_pipeline(
        pipeline=pps.Pipeline(name="show"),
        input=pps.Input(pps.PfsInput(repo="pages", glob="/")),
        transform=in_image("httpd -f -p 8080 -h /pfs"),
        service=pps.Service(internal_port=8080, external_port=port),
    )

    def page() -> bytes:
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/pages/page", timeout=5) as answer,
        ):
            return answer.read()
        return b""

    until(lambda: page() == b"one", "the first page")
    put(client, branch, {"/page": b"two"})
    until(lambda: page() == b"two", "the second page")
