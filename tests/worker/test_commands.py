"""Commands that behave, and commands that do everything wrong."""

from __future__ import annotations

import os
import time
import uuid

import pytest
from fake_server import assignment
from processes import is_running

from trunkline.rpc.gen import worker_api_pb2 as pb

SUCCESS, FAILED, RECOVERED = pb.DatumResult.SUCCESS, pb.DatumResult.FAILED, pb.DatumResult.RECOVERED
ONE = {"in": {"/f": b"content"}}


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def only_result(server) -> pb.DatumResult:
    (result,) = server.results()
    return result


@pytest.mark.parametrize(
    ("cmd", "reason"),
    [
        ([], "nothing to run: no transform.cmd"),
        (["no-such-command"], 'command "no-such-command" was not found in the image environment\'s PATH ('),
        (["/no/such/command"], 'command "/no/such/command" does not exist; correct transform.cmd'),
        (["/etc"], 'command "/etc" may not be executed: it is a folder'),
        (["/etc/passwd"], "may not be executed: its permissions are -rw-r--r--; set its x bit"),
        (["/not-a-program"], 'is neither a program for this machine nor a script with a "#!" line'),
        (["/lost-interpreter"], "names an interpreter in its first line that does not exist"),
        (
            ["tool-without-x"],
            'command "tool-without-x" is at /usr/local/bin/tool-without-x but not executable',
        ),
        (["a\0b"], 'command "a\\0b" was not found'),
        (["echo", "a\0b"], 'command "echo" cannot be started: embedded null byte'),
        (sh("exit 1"), "exit code 1"),
        (sh("kill -TERM $$"), "killed by SIGTERM"),
        (sh("kill -KILL $$"), "killed by SIGKILL (out of memory?)"),
        (sh("kill -40 $$"), "killed by signal 40"),
    ],
)
def test_a_command_that_cannot_run_or_fails_gives_its_reason_in_plain_words(
    server, workers_both, cmd, reason
):
    workers_both.image = {
        "/not-a-program": (b"just text", 0o755),
        "/lost-interpreter": (b"#!/no/such/interpreter\n", 0o755),
        "/usr/local/bin/tool-without-x": (b"", 0o644),
    }
    assignment(server, ONE, cmd)

    code = workers_both.run()

    assert code == 0
    assert only_result(server).state == FAILED
    assert reason in only_result(server).reason


def test_a_working_directory_that_does_not_exist_is_named(server, workers_both):
    assignment(server, ONE, ["true"], working_dir="/no/such/folder")

    workers_both.run()

    assert only_result(server).reason.startswith(
        'working_dir "/no/such/folder" cannot be entered: No such file'
    )


def test_a_command_runs_in_its_working_directory(server, workers_anywhere):
    assignment(server, ONE, sh("cat f > ../out/g"), working_dir="/pfs/in")

    workers_anywhere.run()

    assert server.outputs() == {(0, "/g"): b"content"}


def test_a_command_that_writes_nothing_succeeds(server, workers_both):
    assignment(server, ONE, ["true"])

    workers_both.run()

    assert only_result(server).state == SUCCESS
    assert server.outputs() == {}


def test_standard_input_is_the_lines_of_the_spec(server, workers_both):
    assignment(server, ONE, sh("cat > /pfs/out/lines"), stdin=["one", "", "three"])

    workers_both.run()

    assert server.outputs() == {(0, "/lines"): b"one\n\nthree\n"}


def test_standard_input_can_be_a_script(server, workers_both):
    assignment(server, ONE, ["sh"], stdin=["for file in /pfs/in/*; do", "cp $file /pfs/out/", "done"])

    workers_both.run()

    assert server.outputs() == {(0, "/f"): b"content"}


def test_a_command_need_not_read_its_standard_input(server, workers_both):
    assignment(server, ONE, ["true"], stdin=["x" * 1000] * 1000)

    workers_both.run()

    assert only_result(server).state == SUCCESS


def test_return_codes_can_be_accepted(server, workers_both):
    assignment(server, ONE, sh("exit 3"), accept_return_code=[3])

    workers_both.run()

    assert only_result(server).state == SUCCESS


def test_every_attempt_begins_with_fresh_inputs_and_no_outputs(server, workers_anywhere):
    """The count of attempts is kept outside; each attempt spoils what it was given."""
    counter = workers_anywhere.folder / "attempts"
    counter.touch()
    counter.chmod(0o666)
    script = (
        f'echo >> {counter}; cd "$PFS_ROOT/out"; ls > seen; cat "$in" >> seen; '
        f'echo spoilt > "$in"; test $(wc -l < {counter}) = 3'
    )
    assignment(server, ONE, sh(script)).datum_tries = 5

    workers_anywhere.run()

    assert only_result(server).state == SUCCESS
    assert server.outputs() == {(0, "/seen"): b"seen\ncontent"}
    assert counter.read_text() == "\n\n\n"


def test_a_failure_says_which_attempt_it_was(server, workers_both):
    assignment(server, ONE, sh("exit 1")).datum_tries = 2

    workers_both.run()

    assert only_result(server).reason == "exit code 1 (attempt 2 of 2)"


@pytest.mark.parametrize(("err_cmd", "state"), [("exit 0", RECOVERED), ("exit 1", FAILED)])
def test_the_error_command_decides_whether_a_failed_datum_is_recovered(server, workers_both, err_cmd, state):
    script = f"echo tidying up after $in $(ls /pfs/out); {err_cmd}"
    assignment(
        server, ONE, sh("touch /pfs/out/half; exit 1"), err_cmd=["sh"], err_stdin=[script]
    ).datum_tries = 2

    workers_both.run()

    assert only_result(server).state == state
    assert server.outputs() == {}
    assert server.log() == [b"tidying up after /pfs/in/f half"] * 2


def test_a_command_that_runs_too_long_is_killed(server, workers_both):
    mark = f"sleep {1000 + uuid.uuid4().int % 1000}.{uuid.uuid4().int}"
    assignment(server, ONE, sh(f"{mark} & {mark}")).datum_timeout_seconds = 0.2

    workers_both.run()

    assert only_result(server).reason == "killed because it ran longer than datum_timeout, 0.2 s"
    assert not is_running(mark.replace(" ", "\0"))


def test_a_command_that_writes_to_its_input_harms_no_other_datum(server, workers_anywhere):
    """The first input is shared by both datums; the first datum overwrites and removes parts of it."""
    shared = {"/model/a": b"a", "/model/b": b"b"}
    inputs = {"in": {"/1": b"", "/2": b""}, "shared": shared}
    script = (
        'cd "$PFS_ROOT"; cat shared/model/* > out/$(basename "$in"); '
        "echo spoilt > shared/model/a; rm shared/model/b"
    )
    assignment(server, inputs, sh(script))

    workers_anywhere.run()

    assert server.outputs() == {(0, "/1"): b"ab", (1, "/2"): b"ab"}


@pytest.mark.parametrize(
    "leave",
    ["{} &", "setsid {} &", "setsid sh -c 'setsid {} & {} & {}' &", "(setsid nohup {} > /dev/null 2>&1 &) &"],
)
def test_children_that_a_command_leaves_behind_are_gone_before_its_outputs_are_taken(
    server, workers_both, leave
):
    mark = f"sleep 1000.{uuid.uuid4().int}"
    assignment(server, {"in": {"/1": b"", "/2": b""}}, sh(leave.replace("{}", mark)))

    workers_both.run()

    assert [result.state for result in server.results()] == [SUCCESS, SUCCESS]
    assert not is_running(mark.replace(" ", "\0"))


def test_a_command_that_prints_100_mb_has_16_of_them_logged(server, workers_both):
    assignment(server, ONE, sh("yes 'a line of some forty characters, or so ' | head -c 100000000; echo >&2"))

    workers_both.run()

    assert only_result(server).state == SUCCESS
    logged = sum(len(line) + 1 for line in server.log())
    assert 16 << 20 <= logged <= (16 << 20) + 100
    dropped = 100_000_001 - logged
    assert (
        server.log(system=True)[-1]
        == b"the log holds at most 16 MiB and 500000 lines of an attempt; %d more bytes were dropped"
        % dropped
    )


def test_bytes_that_are_not_text_are_logged_as_they_are(server, workers_both):
    assignment(server, ONE, sh("printf 'a\\377\\000b\\nc\\200'"))

    workers_both.run()

    assert server.log() == [b"a\xff\x00b", b"c\x80"]


def test_an_environment_may_be_large(server, workers_both):
    env = {f"VARIABLE_{number}": "x" * 1000 for number in range(1000)}
    assignment(server, ONE, sh("env | grep -c ^VARIABLE_"), env=env)

    workers_both.run()

    assert server.log() == [b"1000"]


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ({"BIG": "x" * 200_000}, 'command "true" cannot be started: Argument list too long'),
        ({"A=B": "c"}, 'command "true" cannot be started: illegal environment variable name; remove'),
        ({"A": "b\0c"}, 'command "true" cannot be started: embedded null byte; remove NUL characters'),
    ],
)
def test_an_environment_that_no_kernel_takes_is_explained(server, workers_both, env, reason):
    assignment(server, ONE, ["true"], env=env)

    workers_both.run()

    assert only_result(server).reason.startswith(reason)


def test_lines_carry_their_time_and_datum_and_endless_ones_are_cut(server, workers_both):
    before = time.time_ns()
    assignment(server, {"in": {"/1": b"", "/2": b""}}, sh('echo $in; head -c 70000 /dev/zero | tr "\\0" x'))

    workers_both.run()

    lines = [line for line in server.lines if not line.system]
    assert [(line.datum, len(line.message)) for line in lines] == [
        (0, 9),
        (0, 1 << 16),
        (0, 70000 - (1 << 16)),
        (1, 9),
        (1, 1 << 16),
        (1, 70000 - (1 << 16)),
    ]
    assert all(before < line.ts_ns < time.time_ns() for line in lines)


def test_a_command_that_fills_the_disk_is_told_so_and_the_next_datum_runs(server, workers):
    """The scratch folder is a tmpfs of 3 MB in a namespace of the test's own."""
    scratch = workers.folder / "scratch-0"
    mine = [] if os.geteuid() == 0 else ["-r"]
    mount = f'mount -t tmpfs -o size=3m,mode=777 tmpfs {scratch} && exec "$@"'
    workers.wrapper = ["unshare", *mine, "-m", "sh", "-c", mount, "sh"]
    assignment(
        server,
        {"in": {"/1": b"", "/2": b""}},
        sh("if test -e /pfs/in/1; then cat /dev/zero > /pfs/out/big; else echo fine > /pfs/out/ok; fi"),
    )

    workers.run()

    first, second = server.results()
    assert first.state == FAILED
    assert first.reason.startswith("exit code 1; the disk that holds /pfs/out is full: make room there")
    assert b"No space left on device" in b"".join(server.log())
    assert second.state == SUCCESS
    assert server.outputs() == {(1, "/ok"): b"fine\n"}


def test_inputs_that_do_not_fit_on_the_disk_fail_their_datum_alone(server, workers):
    scratch = workers.folder / "scratch-0"
    mine = [] if os.geteuid() == 0 else ["-r"]
    mount = f'mount -t tmpfs -o size=3m,mode=777 tmpfs {scratch} && exec "$@"'
    workers.wrapper = ["unshare", *mine, "-m", "sh", "-c", mount, "sh"]
    assignment(server, {"in": {"/1": b"x" * (4 << 20), "/2": b"y"}}, sh("cp $in /pfs/out/"))

    workers.run()

    first, second = server.results()
    assert (
        first.reason
        == "the inputs could not be written to the worker's disk (No space left on device); make room there"
    )
    assert second.state == SUCCESS
    assert server.outputs() == {(1, "/2"): b"y"}


def test_a_command_that_outgrows_the_memory_of_small_inputs_gets_them_on_disk(server, workers):
    assignment(server, ONE, sh("head -c 300000000 /dev/zero >> $in && wc -c < $in > /pfs/out/size"))

    workers.run()

    assert server.outputs() == {(0, "/size"): b"300000007\n"}


def test_a_command_can_run_as_another_user(server, workers):
    if os.geteuid() != 0:
        pytest.skip("only root may run commands as somebody else")
    script = (
        "id -un > /pfs/out/id; id -g >> /pfs/out/id; echo more >> $in; cp $in /pfs/out/f; mktemp > /dev/null"
    )
    assignment(server, ONE, sh(script), user="nobody")

    workers.run()

    assert server.log() == []
    assert server.outputs() == {(0, "/id"): b"nobody\n65534\n", (0, "/f"): b"contentmore\n"}


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ("root", 'transform.user "root" needs a server that runs as root'),
        ("no-such-user", "is not a user of this machine"),
    ],
)
def test_a_user_that_cannot_be_taken_on_is_explained(server, make_workers, user, reason):
    assignment(server, ONE, ["true"], user=user).datum_tries = 3

    make_workers("ordinary user").run()

    assert reason in only_result(server).reason
    assert only_result(server).state == FAILED
