"""What is different when commands run in another container: users, environment, /pfs, and two that can die."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
import uuid
from pathlib import Path

import pytest
from fake_server import assignment
from processes import is_running
from test_worker_claims import (
    MANY,
    assert_some_finished,
    until,
    wait_for_file,
    wait_until_running,
    wait_while,
)
from worker_processes import SOMEBODY

from trunkline.errors import FailedPrecondition
from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.worker.command import ExecutorLost
from trunkline.worker.pod.launcher_client import LauncherClient

SUCCESS, FAILED = pb.DatumResult.SUCCESS, pb.DatumResult.FAILED
ONE = {"in": {"/f": b"content"}}
TWO = {"in": {"/1": b"", "/2": b""}}


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


@pytest.fixture
def pod(make_workers):
    return make_workers("pod")


def only_result(server) -> pb.DatumResult:
    (result,) = server.results()
    return result


# what a command sees


def test_the_containers_environment_is_the_base_and_the_requests_variables_win(server, pod):
    pod.image_env |= {"FROM_IMAGE": "image", "BOTH": "image", "in": "image"}
    pod.extra = {"OF_THE_WORKER": "secret"}
    assignment(server, ONE, sh("env > /pfs/out/env"), env={"BOTH": "pipeline", "MINE": "yes"})

    pod.run()

    variables = dict(line.split("=", 1) for line in server.outputs()[0, "/env"].decode().splitlines())
    assert variables["FROM_IMAGE"] == "image"
    assert variables["HOME"] == "/home-of-image"
    assert variables["BOTH"] == "pipeline"
    assert variables["MINE"] == "yes"
    assert variables["in"] == "/pfs/in/f"
    assert variables["PFS_ROOT"] == "/pfs"
    assert variables["PACH_IN_WORKER"] == "true"
    assert variables["TMPDIR"].startswith("/pfs/.trunkline/")
    assert not any(name.startswith(("TRUNKLINE", "OF_THE_WORKER")) for name in variables)


def test_a_command_starts_in_the_folder_of_the_image_unless_the_pipeline_names_one(server, pod):
    pod.cwd = "/usr"
    assignment(server, ONE, sh("pwd > /pfs/out/f"))
    assignment(server, ONE, sh("pwd > /pfs/out/f"), working_dir="/var")

    pod.run()

    assert [outputs[0, "/f"] for _, outputs, _ in server.completions] == [b"/usr\n", b"/var\n"]


def test_the_pods_user_runs_commands_whatever_the_pipeline_says(server, pod):
    """``transform.user`` has made the pod what it is; the worker has neither the right nor the need."""
    assignment(server, ONE, sh("id -u > /pfs/out/id"), user="nobody")

    pod.run()

    assert server.outputs() == {(0, "/id"): b"%d\n" % pod.user}
    assert [line for line in server.log(system=True) if not line.startswith(b"failed: ")] == []


def test_a_command_can_open_its_outputs_by_name(server, pod):
    assignment(
        server, ONE, sh("echo out > /dev/stdout; echo err > /dev/stderr; cat /dev/stdin"), stdin=["in"]
    )

    pod.run()

    assert server.log() == [b"out", b"err", b"in"]


def test_pfs_shows_the_inputs_and_out_and_nothing_of_other_datums(server, pod):
    inputs = {"in": {f"/{number}": b"x" for number in range(5)}, "shared": {"/model": b"weights"}}
    script = (
        "ls /pfs > /pfs/out/ls; ls /pfs/in >> /pfs/out/ls; find /pfs/.trunkline > /pfs/out/hidden 2>&1; true"
    )
    assignment(server, inputs, sh(script))

    pod.run()

    outputs = server.outputs()
    assert [outputs[number, "/ls"] for number in range(5)] == [b"in\nout\nshared\n%d\n" % i for i in range(5)]
    if pod.user != os.geteuid():
        assert b"Permission denied" in outputs[0, "/hidden"]
        assert not any(b"model" in outputs[number, "/hidden"] for number in range(5))


# what a command leaves


@pytest.mark.parametrize(
    "spoil",
    [
        "rm -rf /pfs/in",
        "rm -rf /pfs/out; mkdir -m 700 /pfs/out; echo new > /pfs/out/f; chmod 500 /pfs/out",
        "rm -rf /pfs/out /pfs/in; echo file > /pfs/out; ln -s / /pfs/in",
        "echo more > /pfs/more; mkdir -p /pfs/extra/deep; chmod 0 /pfs/extra/deep /pfs/more",
        "mkdir -m 1777 /pfs/in/sticky; touch /pfs/in/sticky/f; chmod 0 $in",
        "rm -rf $TMPDIR; ln -s /etc $TMPDIR",
        "mkdir -p $TMPDIR/a/b; chmod 0 $TMPDIR/a/b $TMPDIR",
    ],
)
def test_whatever_a_command_does_to_pfs_the_next_datum_begins_clean(server, pod, spoil):
    script = 'find /pfs -mindepth 1 -path "/pfs/.*" -prune -o -print | sort; ls -A $TMPDIR; cat $in; '
    assignment(
        server,
        {"in": {"/1": b"first\n", "/2": b"second\n"}},
        sh(f"{script}{{ {spoil}; }} 2> /dev/null; true"),
    )
    etc = sorted(os.listdir("/etc"))

    code = pod.run()

    assert code == 0
    assert server.log() == [
        *(b"/pfs/in", b"/pfs/in/1", b"/pfs/out", b"first"),
        *(b"/pfs/in", b"/pfs/in/2", b"/pfs/out", b"second"),
    ]
    assert [line for line in server.log(system=True) if not line.startswith(b"failed: ")] == []
    assert sorted(os.listdir("/etc")) == etc


def test_outputs_that_only_their_user_may_read_are_handed_in(server, pod):
    script = "cd /pfs/out; mkdir -p a/b; echo 1 > a/b/f; chmod 0 a/b/f; chmod 100 a/b; chmod 0 a; umask 777; echo 2 > g"
    assignment(server, TWO, sh(script))

    pod.run()

    assert [result.reason for result in server.results()] == ["", ""]
    assert server.outputs() == {
        (number, path): content
        for number in (0, 1)
        for path, content in {"/a/b/f": b"1\n", "/g": b"2\n"}.items()
    }


def test_large_outputs_are_kept_in_files_until_they_are_handed_in(server, pod):
    script = 'head -c 5000000 /dev/zero | tr "\\0" $(basename $in) > /pfs/out/f; cp /pfs/out/f $TMPDIR/g; '
    assignment(server, TWO, sh(script + "ln -s $TMPDIR/g /pfs/out/g"))

    pod.run()

    assert server.outputs() == {
        (number, path): b"%d" % (number + 1) * 5000000 for number in (0, 1) for path in ("/f", "/g")
    }


def test_a_link_out_of_pfs_means_what_it_means_to_the_command(server, pod):
    """The process that a link to /proc/self names would be the worker, if the worker followed it."""
    assignment(server, ONE, sh("ln -s /proc/self/environ /pfs/out/environ; ln -s /edges /pfs/out/edges"))
    pod.image = {"/edges": (b"of the image", 0o644)}
    pod.image_env["OF_THE_IMAGE"] = "1"

    pod.run()

    outputs = server.outputs()
    assert outputs[0, "/edges"] == b"of the image"
    assert b"OF_THE_IMAGE=1" in outputs[0, "/environ"]
    assert b"TOKEN" not in outputs[0, "/environ"]


def test_a_link_to_what_only_the_worker_may_read_fails_the_datum(server, pod):
    if os.geteuid() != 0:
        pytest.skip("only root can play two users")
    secret = pod.folder / "secret"
    secret.write_text("the worker's")
    secret.chmod(0o600)
    os.chown(secret, SOMEBODY, SOMEBODY)
    assignment(server, ONE, sh(f"ln -s {secret} /pfs/out/f"))

    pod.run()

    assert only_result(server).reason.startswith(
        f'output /f is a link to "{secret}", which cannot be followed'
    )
    assert server.outputs() == {}


# two containers that live and die


def test_a_worker_waits_for_an_image_that_is_still_pulled(server, pod):
    pod.pull = str(pod.folder / "pulled")
    assignment(server, ONE, ["true"])
    process = pod.start()

    Path(pod.pull).touch()

    assert process.wait(60) == 0
    assert only_result(server).state == SUCCESS


def test_sigterm_ends_a_worker_that_waits_for_its_image(server, pod):
    pod.pull = str(pod.folder / "never")
    pod.wrapper = ["sh", "-c", f'touch {pod.folder}/started; exec "$@"', "sh"]
    process = pod.start()
    wait_for_file(pod.folder / "started")
    worker = children(process.pid)[0]
    wait_while(lambda: not catches_sigterm(worker))

    os.kill(worker, signal.SIGTERM)

    wait_while(lambda: Path(f"/proc/{worker}").exists() and process.poll() is None)
    assert server.registered == []


def test_a_worker_waits_for_a_server_that_is_not_there_yet(server, pod):
    address = server.address
    server.shut()
    assignment(server, ONE, ["true"])
    process = pod.start()

    server.open(address)

    assert process.wait(60) == 0
    assert only_result(server).state == SUCCESS


def test_the_end_of_the_pod_lets_the_running_datum_finish(server, pod):
    """SIGTERM reaches both containers, and the launcher goes on until the worker has reported its results."""
    flag = pod.folder / "go-on"
    pod.folder.chmod(0o777)
    assignment(server, MANY, sh(f"{until(flag)}; touch /pfs/out/done"))
    process = pod.start()
    wait_for_file(Path(f"{flag}.running"))

    process.send_signal(signal.SIGTERM)
    flag.touch()

    assert process.wait(60) == 0
    ((results, outputs, release),) = server.completions
    assert_some_finished(results, outputs)
    assert release


def test_a_worker_that_is_killed_takes_its_command_and_the_launcher_with_it(server, pod):
    mark = f"sleep 1000.{uuid.uuid4().int}"
    assignment(server, ONE, sh(f"setsid {mark} & trap '' TERM; {mark}; {mark}"))
    process = pod.start()
    wait_until_running(mark)

    process.send_signal(signal.SIGUSR2)

    assert process.wait(60) == -signal.SIGKILL % 256  # 70 had the launcher not ended with 0
    assert not is_running(mark.replace(" ", "\0"))
    assert server.completions == []


def test_a_container_that_dies_fails_the_attempt_and_the_next_one_runs_in_the_new_container(server, pod):
    pod.restarts = 1
    pod.folder.chmod(0o777)
    first = pod.folder / "first"
    script = f"test -e {first} && exit 0; umask 077; mkdir /pfs/mine; touch /pfs/mine/f {first}; sleep 1000"
    assignment(server, ONE, sh(script)).datum_tries = 2
    process = pod.start()
    wait_for_file(first)

    process.send_signal(signal.SIGUSR1)

    assert process.wait(60) == 0
    assert only_result(server).state == SUCCESS


def test_a_container_that_dies_at_the_only_attempt_fails_the_datum_with_a_sentence(server, pod):
    pod.restarts = 1
    pod.folder.chmod(0o777)
    first = pod.folder / "first"
    assignment(server, TWO, sh(f"test -e {first} && exit 0; touch {first}; sleep 1000"))
    process = pod.start()
    wait_for_file(first)

    process.send_signal(signal.SIGUSR1)

    assert process.wait(60) == 0
    first_result, second = server.results()
    assert first_result.reason.startswith("the container of the image ended while the command ran")
    assert second.state == SUCCESS


def test_a_container_that_dies_while_the_pod_ends_says_nothing_about_the_datum(server, pod):
    pod.folder.chmod(0o777)
    flag = pod.folder / "never"
    assignment(server, TWO, sh(f"test $in = /pfs/in/1 || {{ {until(flag)}; }}"))
    process = pod.start()
    wait_for_file(Path(f"{flag}.running"))

    process.send_signal(signal.SIGQUIT)

    assert process.wait(60) == 0
    assert [result.datum for result in server.results()] == [0]
    assert server.completions[-1][2]


@pytest.mark.slow  # takes 10 s
@pytest.mark.parametrize(("tries", "failed"), [(1, [0]), (3, [0])])
def test_a_container_that_does_not_come_back_costs_its_datum_and_the_rest_is_given_back(
    server, pod, tries, failed
):
    """Another attempt elsewhere might cost another pod, and so on forever."""
    pod.folder.chmod(0o777)
    flag = pod.folder / "never"
    assignment(
        server, {"in": {f"/{number}": b"" for number in range(3)}}, sh(until(flag))
    ).datum_tries = tries
    process = pod.start()
    wait_for_file(Path(f"{flag}.running"))

    process.send_signal(signal.SIGUSR1)

    assert process.wait(100) == 0
    assert [result.datum for result in server.results()] == failed
    assert all(result.state == FAILED for result in server.results())
    assert server.completions[-1][2]


def test_a_launcher_of_another_version_is_refused(tmp_path):
    path = str(tmp_path / "run.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def answer() -> None:
        connection, _ = listener.accept()
        connection.recv(1000)
        body = json.dumps({"ready": {"version": 1}}).encode()
        connection.sendall(len(body).to_bytes(4, "big") + body)
        connection.close()

    launcher = LauncherClient(path, "/pfs", ".trunkline")
    thread = threading.Thread(target=answer)
    thread.start()

    with pytest.raises(
        FailedPrecondition, match="speaks version 1 of its protocol and this worker version 2"
    ):
        launcher.connect(10, time.sleep)

    thread.join()
    listener.close()


def test_a_launcher_that_does_not_appear_is_reported(tmp_path):
    with pytest.raises(ExecutorLost, match="no launcher has listened"):
        LauncherClient(str(tmp_path / "none"), "/pfs", ".trunkline").connect(0, time.sleep)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def catches_sigterm(pid: int) -> bool:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False
