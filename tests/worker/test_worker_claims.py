"""How a worker and the server deal with each other: batches, lost claims, retirement, outages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

from fake_server import assignment
from patience import eventually
from processes import is_running

from trunkline.rpc.gen import worker_api_pb2 as pb

SUCCESS = pb.DatumResult.SUCCESS


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


#: Datums that a worker cannot finish while a signal is on its way to it.
MANY = {"in": {f"/{number}": b"" for number in range(100)}}


def assert_some_finished(results, outputs) -> None:
    """The first datum of ``MANY`` was finished, perhaps a few more, and never all."""
    assert [(result.datum, result.state) for result in results] == [
        (datum, SUCCESS) for datum in range(len(results))
    ]
    assert 1 <= len(results) < len(MANY["in"])
    assert outputs == {(datum, "/done"): b"" for datum in range(len(results))}


def until(flag: Path) -> str:
    """A script that says it runs and waits until the test lets it go on."""
    return f"touch {flag}.running; while ! test -e {flag}; do sleep 0.02; done"


def test_a_worker_introduces_itself_and_ends_when_told_to_retire(server, workers):
    process = workers.start()

    assert process.wait(60) == 0
    assert server.registered == [process.pid]
    assert server.metadata[0]["worker-id"] == "a" * 32
    assert server.claims == 1


def test_assignments_are_worked_through_one_after_the_other(server, workers):
    for content in (b"1", b"2", b"3"):
        assignment(server, {"in": {f"/{content.decode()}": content}}, sh("cp $in /pfs/out/f"))

    workers.run()

    assert [outputs[0, "/f"] for _, outputs, _ in server.completions] == [b"1", b"2", b"3"]


def test_an_assignment_that_comes_with_the_answer_to_results_is_worked_through_without_a_claim(
    server, workers
):
    server.gives_following = True
    for content in (b"1", b"2", b"3"):
        assignment(server, {"in": {f"/{content.decode()}": content}}, sh("cp $in /pfs/out/f"))

    workers.run()

    assert [outputs[0, "/f"] for _, outputs, _ in server.completions] == [b"1", b"2", b"3"]
    assert server.claims == 2  # the first assignment, and the order to retire


def test_inputs_are_fetched_256_datums_at_a_time(server, workers):
    assignment(server, {"in": {f"/{number}": b"x" for number in range(300)}}, ["true"])

    workers.run()

    assert [len(items) for items in server.fetches] == [256, 44]
    assert [result.datum for result in server.results()] == list(range(300))


def test_inputs_are_fetched_16_mib_at_a_time(server, workers):
    assignment(server, {"in": {f"/{number}": bytes(7 << 20) for number in range(3)}}, ["true"])

    workers.run()

    assert server.fetches == [[0, 1], [2]]


def test_files_that_come_with_the_assignment_are_not_fetched(server, workers_anywhere):
    run = assignment(
        server,
        {"in": {f"/{number}": b"%d" % number for number in range(4)}, "model": {"/m": b"weights"}},
        sh('cat "$PFS_ROOT/model/m" "$in" > "$PFS_ROOT/out/$(basename $in)"; test -e /nowhere'),
        accept_return_code=[1],
    )
    [message] = server.assignments
    message.sent_items.extend([0, 1, 2])
    message.sent_files.add(item=0, path="/m", data=b"wei")
    message.sent_files.add(item=0, path="/m", data=b"ghts", last=True)
    for item in (1, 2):
        message.sent_files.add(item=item, path=run.items[item].path, data=b"%d" % (item - 1), last=True)

    workers_anywhere.run()

    assert server.fetches == [[3, 4]]
    assert server.outputs() == {(number, f"/{number}"): b"weights%d" % number for number in range(4)}


def test_an_item_of_several_datums_is_fetched_once(server, workers_anywhere):
    inputs = {"in": {f"/{number}": b"x" for number in range(100)}, "model": {"/m": b"weights"}}
    assignment(server, inputs, sh('cp "$PFS_ROOT/model/m" "$PFS_ROOT/out/$(basename $in)"'))

    workers_anywhere.run()

    fetched = [item for items in server.fetches for item in items]
    assert sorted(fetched) == list(range(101))
    assert set(server.outputs().values()) == {b"weights"}


def test_the_log_is_complete_when_results_are_handed_in(server, workers):
    assignment(server, {"in": {f"/{number}": b"" for number in range(10)}}, sh("echo $in; echo oops >&2"))
    seen = []
    complete = server._complete

    async def watch(frames, context):
        seen.append(len(server.log()))
        return await complete(frames, context)

    server._complete = watch
    server.shut()
    server.open("127.0.0.1:0")

    workers.run()

    assert seen[-1] == 20


def test_lines_appear_while_the_command_still_runs(server, workers):
    flag = workers.folder / "go-on"
    assignment(server, {"in": {"/f": b""}}, sh(f"echo early; {until(flag)}"))
    process = workers.start()

    server.wait_until(lambda: b"early" in server.log())

    assert server.completions == []
    flag.touch()
    assert process.wait(60) == 0


def test_a_worker_keeps_its_claim_alive_and_says_what_it_runs(server, workers):
    flag = workers.folder / "go-on"
    assignment(server, {"in": {"/1": b"", "/2": b""}}, sh(f"test $in = /pfs/in/1 || {{ {until(flag)}; }}"))
    server.assignments[-1].lease_seconds = 0.3
    process = workers.start()

    server.wait_until(lambda: any(renewal.datum == 1 for renewal in server.renewals))

    assert next(renewal.datum_started > 0 for renewal in server.renewals if renewal.datum == 1)
    flag.touch()
    assert process.wait(60) == 0


def test_a_claim_is_renewed_between_the_batches_of_a_command_that_prints_much(server, workers):
    mark = f"sleep 1000.{uuid.uuid4().int}"
    assignment(server, {"in": {"/f": b""}}, sh(f"yes | head -n 60000; {mark}"))
    server.assignments[-1].lease_seconds = 0.03
    server.takes_lines.clear()
    process = workers.start()
    eventually(lambda: is_running(mark.replace(" ", "\0")), "the command to have printed")

    server.calls.clear()
    server.takes_lines.set()
    server.wait_until(lambda: len(server.log()) == 60_000)
    calls = "".join(call[0] for call in server.calls)
    server.lose_claims = True

    assert "R" in calls[calls.index("L") : calls.rindex("L")], calls
    assert process.wait(60) == 0


def test_a_lost_claim_ends_the_command_and_the_worker_claims_anew(server, workers):
    mark = f"sleep 1000.{uuid.uuid4().int}"
    assignment(server, {"in": {"/f": b""}}, sh(mark))
    server.assignments[-1].lease_seconds = 0.3
    assignment(server, {"in": {"/f": b"second"}}, sh("cp $in /pfs/out"))
    server.lose_claims = True

    code = workers.run()

    assert code == 0
    assert server.outputs() == {(0, "/f"): b"second"}
    assert not is_running(mark.replace(" ", "\0"))


def test_a_refused_hand_in_is_dropped_and_the_worker_claims_anew(server, workers):
    assignment(server, {"in": {"/f": b""}}, ["true"])
    server.refuse_completions = True

    code = workers.run()

    assert code == 0
    assert server.claims == 2
    assert server.completions == []


def test_a_datum_is_started_again_on_request(server, workers):
    starts = workers.folder / "starts"
    count = f"$(wc -l < {starts})"
    script = f"echo >> {starts}; test {count} -gt 1 || sleep 1000; echo {count} > /pfs/out/starts"
    assignment(server, {"in": {"/f": b""}}, sh(script))
    server.assignments[-1].lease_seconds = 0.3
    server.restart_once = True

    workers.run()

    assert server.outputs() == {(0, "/starts"): b"2\n"}
    assert [result.state for result in server.results()] == [SUCCESS]


def test_sigterm_ends_an_idle_worker_at_once(server, workers):
    server.retire_when_empty = False
    process = workers.start()
    server.wait_until(lambda: server.claims == 1)

    process.send_signal(signal.SIGTERM)

    assert process.wait(60) == 0


def test_sigterm_lets_the_running_datum_finish_and_gives_the_rest_back(server, workers):
    flag = workers.folder / "go-on"
    assignment(server, MANY, sh(f"{until(flag)}; touch /pfs/out/done"))
    process = workers.start()
    server.wait_until(lambda: server.fetches)
    wait_for_file(Path(f"{flag}.running"))

    process.send_signal(signal.SIGTERM)
    flag.touch()

    assert process.wait(60) == 0
    ((results, outputs, release),) = server.completions
    assert_some_finished(results, outputs)
    assert release


def test_a_datum_that_outlasts_the_grace_is_killed_and_given_back_with_the_rest(server, workers_both):
    """The first datum is done and must not be lost with the second, which ignores all that can be ignored."""
    mark = f"sleep 1000.{uuid.uuid4().int}"
    workers_both.extra = {"TRUNKLINE_GRACE": "1"}
    script = f"test $in = /pfs/in/1 || {{ trap '' TERM INT HUP; while :; do {mark}; done; }}"
    assignment(server, {"in": {f"/{number}": b"" for number in (1, 2, 3)}}, sh(script))
    process = workers_both.start()
    wait_until_running(mark)

    process.send_signal(signal.SIGTERM)

    assert process.wait(60) == 0
    ((results, _, release),) = server.completions
    assert [(result.datum, result.state) for result in results] == [(0, SUCCESS)]
    assert release
    assert not is_running(mark.replace(" ", "\0"))


def test_a_request_to_retire_in_answer_to_a_hand_in_gives_the_rest_back(server, workers):
    assignment(
        server,
        {"in": {f"/{number}": b"" for number in range(3)}},
        sh("head -c 34000000 /dev/zero > /pfs/out/x"),
    )
    server.retire_after_complete = True

    code = workers.run()

    assert code == 0
    assert [(len(results), release) for results, _, release in server.completions] == [(1, False), (0, True)]


def test_a_worker_that_the_server_does_not_know_ends(server, workers):
    server.knows_worker = False

    code = workers.run()

    assert code == 1
    assert (
        workers.stderr.read_text().splitlines()[-1] == "worker: the server does not know this worker any more"
    )


def test_a_datum_outlives_an_outage_of_the_server(server, workers):
    flag = workers.folder / "go-on"
    assignment(server, {"in": {"/f": b"x"}}, sh(f"echo begun; {until(flag)}; cp $in /pfs/out"))
    server.assignments[-1].lease_seconds = 0.3
    process = workers.start()
    wait_for_file(Path(f"{flag}.running"))

    server.shut()
    flag.touch()
    server.open(server.address)

    assert process.wait(60) == 0
    assert server.outputs() == {(0, "/f"): b"x"}


def test_a_worker_and_its_command_end_with_the_process_that_started_it(server, workers):
    """The starter is a process of its own that is killed as a crashing server would be."""
    mark = f"sleep 1000.{uuid.uuid4().int}"
    assignment(server, {"in": {"/f": b""}}, sh(f"setsid {mark} & {mark}"))
    starter = subprocess.Popen(
        [sys.executable, "-c", starter_script(workers, server.address)], stdout=subprocess.PIPE
    )
    server.wait_until(lambda: server.fetches)
    wait_until_running(mark)

    starter.kill()
    starter.wait()
    starter.stdout.close()

    worker = server.registered[0]
    wait_while(lambda: os.path.exists(f"/proc/{worker}") or is_running(mark.replace(" ", "\0")))
    assert server.completions == []


def starter_script(workers, address: str) -> str:
    scratch = workers.folder / "scratch"
    scratch.mkdir()
    return textwrap.dedent(f"""
        import os, subprocess, sys
        given = dict(SERVER={address!r}, WORKER_ID="w", WORKER_TOKEN="t", SCRATCH={str(scratch)!r})
        given["PARENT"] = str(os.getpid())
        environment = os.environ | {{"TRUNKLINE_" + name: value for name, value in given.items()}}
        subprocess.run([sys.executable, "-m", "trunkline.worker"], env=environment, start_new_session=True)
    """)


def wait_for_file(path: Path) -> None:
    wait_while(lambda: not path.exists())


def wait_until_running(mark: str) -> None:
    wait_while(lambda: not is_running(mark.replace(" ", "\0")))


def wait_while(condition, seconds: float = 30.0) -> None:
    """Poll; what is waited for happens in other processes and tells nobody."""
    import threading
    import time

    deadline = time.monotonic() + seconds
    while condition():
        assert time.monotonic() < deadline, f"not reached within {seconds} s"
        threading.Event().wait(0.02)
