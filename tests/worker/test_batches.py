"""Batch programs: one process that asks its worker for each datum, by the published SDK."""

from __future__ import annotations

import os
import signal
import sys
import threading
import uuid
from pathlib import Path

import pytest
from fake_server import assignment
from processes import is_running

from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.worker.batch import BatchProgram, Datum, Log
from trunkline.worker.command import Program
from trunkline.worker.interrupts import Interrupts
from trunkline.worker.subprocesses import SpawnExecutor

SUCCESS, FAILED, RECOVERED = pb.DatumResult.SUCCESS, pb.DatumResult.FAILED, pb.DatumResult.RECOVERED
FILES = {"in": {f"/{number}": b"content %d" % number for number in range(4)}}

#: Copies its input to /pfs/out/<name>, behind the number of its process. ``act`` runs before each copy.
PROGRAM = """
import os, shutil, sys
from pathlib import Path
from pachyderm_sdk import batch_all_datums

done = 0

@batch_all_datums
def copy():
    global done
    source = Path(os.environ["in"])
    print("line of", source.name)
{act}
    Path("/pfs/out", source.name).write_text(f"{{os.getpid()}}: " + source.read_text())
    done += 1

{before}
copy()
"""

#: One empty message of gRPC, sent by hand.
SHELL = b"""
umask 077
ask="curl -sSf --http2-prior-knowledge -H te:trailers -H content-type:application/grpc --data-binary @- -o /dev/null"
count=0
while printf '\\0\\0\\0\\0\\0' | $ask http://localhost:$PPS_WORKER_GRPC_PORT/pachyderm.worker.Worker/NextDatum; do
    . /pfs/.env
    count=$((count + 1))
    mkdir /pfs/out/folder
    ln -s /etc/hostname /pfs/out/link
    echo $count >/pfs/out/count
    cat "$in" >/pfs/out/copy
done
"""


def program(act: str = "pass", before: str = "") -> bytes:
    return PROGRAM.format(act=f"    {act}", before=before).encode()


@pytest.fixture
def run(server, open_folder, make_workers):
    """Runs a batch program on a worker, and returns the results."""

    def run(script: bytes, world: str = "own user", inputs=FILES, claims: int = 1, **fields):
        workers = make_workers(world)
        for _ in range(claims):
            command = {key: fields[key] for key in ("err_cmd", "env", "accept_return_code") if key in fields}
            cmd = fields.get("cmd", [sys.executable, "/batch/program", fields.get("mark", "")])
            datums = assignment(server, inputs, cmd, **command)
            datums.datum_tries = fields.get("tries", 1)
            datums.datum_timeout_seconds = fields.get("timeout", 0.0)
            message = server.assignments[-1]
            message.lease_seconds = fields.get("lease", 30)
            copy = pb.DatumRun()
            copy.CopyFrom(datums)
            message.batch_run.CopyFrom(copy)
        workers.image = {"/batch/program": (script, 0o644)}
        workers.extra = fields.get("extra", {})
        assert workers.run() == 0
        return server.results()

    return run


def copies(server) -> dict[int, tuple[str, bytes]]:
    """Return the process and the content of each output, by datum."""
    outputs = {}
    for (datum, _), data in server.outputs().items():
        process, _, content = data.partition(b": ")
        outputs[datum] = (process.decode(), content)
    return outputs


def test_one_program_runs_all_datums_of_all_claims(server, run):
    results = run(program(), claims=2)

    assert [result.state for result in results] == [SUCCESS] * 8, results
    assert {content for _, content in copies(server).values()} == set(FILES["in"].values())
    assert len({data for _, outputs, _ in server.completions for data in outputs.values()}) == 4
    assert [(line.datum, line.message) for line in server.lines] == 2 * [
        (number, b"line of %d" % number) for number in range(4)
    ]


def test_a_datum_that_raises_an_exception_fails_alone_and_the_next_one_meets_a_new_program(server, run):
    act = "if source.name == '1': raise ValueError('not this one')"

    results = run(program(act), tries=2)

    assert [result.state for result in results] == [SUCCESS, FAILED, SUCCESS, SUCCESS], results
    assert "ValueError('not this one')" in results[1].reason
    written = copies(server)
    assert written.keys() == {0, 2, 3}
    assert written[0][0] != written[2][0] == written[3][0]


@pytest.mark.parametrize("world", ["ordinary user", "pod", "pod of one user"])
def test_a_batch_runs_in_every_world_and_in_any_language(server, run, world):
    results = run(SHELL, world=world, cmd=["sh", "/batch/program"])

    assert [result.state for result in results] == [SUCCESS] * 4, results
    outputs = server.outputs()
    assert {data for (_, path), data in outputs.items() if path == "/count"} == {
        b"1\n",
        b"2\n",
        b"3\n",
        b"4\n",
    }
    assert [outputs[datum, "/copy"] for datum in range(4)] == [b"content %d" % datum for datum in range(4)]
    assert [outputs[datum, "/link"] for datum in range(4)] == [Path("/etc/hostname").read_bytes()] * 4


def test_without_a_private_root_the_datums_fail_with_the_reason(run):
    (*_, last) = run(program(), world="no namespaces", tries=3)

    assert last.state == FAILED
    assert "transform.datum_batching" in last.reason


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("if source.name == '1': sys.exit()", "exit code 0: "),
        ("if source.name == '1': os._exit(3)", "exit code 3: "),
        ("if source.name == '1': os.kill(os.getpid(), 9)", "killed by SIGKILL"),
    ],
)
def test_a_program_that_ends_early_fails_its_datum_alone(run, act, reason):
    results = run(program(act), accept_return_code=[3])

    assert [result.state for result in results] == [SUCCESS, FAILED, SUCCESS, SUCCESS], results
    assert results[1].reason.startswith(reason)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (b"", "exit code 0: "),
        (b"raise SystemExit(4)", "exit code 4: "),
        (b"import os; os.kill(os.getpid(), 15)", "killed by SIGTERM"),
    ],
)
def test_a_program_that_never_asks_fails_each_datum_with_the_reason(run, script, reason):
    results = run(script)

    assert [result.state for result in results] == [FAILED] * 4
    assert all(result.reason.startswith(reason) for result in results), results


def test_a_program_that_asks_too_late_is_killed():
    interrupts = Interrupts()
    batch = BatchProgram(SpawnExecutor(lambda: 0), interrupts, "worker", start_limit=0.05)
    program = Program(["sleep", "600"], b"", {"PATH": os.environ["PATH"]}, "/", "/tmp")
    log = Log(add_line=lambda *_: None, note=lambda *_: None, is_full=lambda: False)

    ending = batch.run("key", lambda: program, Datum("job"), {}, 0.01, log, tmp="")

    assert ending.code is None
    assert ending.reason.startswith("killed after 0.05 s: ")
    batch.close()


def test_a_datum_that_is_restarted_meets_a_new_program(server, run):
    act = "Path('/started').exists() or Path('/started').touch() or time.sleep(60)"

    def restart() -> None:
        server.wait_until(lambda: b"line of 0" in server.log())
        server.restart_once = True

    asks = threading.Thread(target=restart)
    asks.start()
    results = run(program(act, "import time"), lease=0.3)
    asks.join()

    assert [result.state for result in results] == [SUCCESS] * 4, results
    assert server.log().count(b"line of 0") == 2


def test_a_batch_whose_claim_is_lost_ends_with_its_program(server, run):
    server.lose_claims = True
    mark = f"mark-{uuid.uuid4()}"

    results = run(program("time.sleep(600)", f"import time  # {mark}"), lease=0.3, mark=mark)

    assert results == []
    assert not is_running(mark)


def test_a_batch_that_outlasts_the_grace_of_its_worker_is_ended_and_given_back(server, run):
    mark = f"mark-{uuid.uuid4()}"

    def end() -> None:
        server.wait_until(lambda: b"line of 1" in server.log())
        os.kill(server.registered[0], signal.SIGTERM)

    ends = threading.Thread(target=end)
    ends.start()
    act = "if source.name == '1': time.sleep(600)"
    results = run(program(act, "import time"), mark=mark, extra={"TRUNKLINE_GRACE": "0.5"})
    ends.join()

    assert [(result.datum, result.state) for result in results] == [(0, SUCCESS)]
    assert server.completions[-1][2]  # the rest is given back
    assert not is_running(mark)


def test_the_time_of_a_datum_begins_when_the_program_gets_it(run):
    act = "if source.name == '2': time.sleep(60)"
    before = "import time; time.sleep(2.2)"

    results = run(program(act, before), timeout=2.0)

    assert [result.state for result in results] == [SUCCESS, SUCCESS, FAILED, SUCCESS], results
    assert "datum_timeout, 2 s" in results[2].reason
    assert all(result.process_ns < 2.2e9 for result in results if result.state == SUCCESS)


def test_a_failed_datum_is_tried_again_and_its_error_command_sees_its_files(server, run):
    act = "if source.name == '1': Path('/pfs/out/partial').touch(); raise ValueError"
    err_cmd = ["sh", "-c", "test -e /pfs/out/partial && cat $in"]

    results = run(program(act), tries=2, err_cmd=err_cmd)

    assert [result.state for result in results] == [SUCCESS, RECOVERED, SUCCESS, SUCCESS], results
    assert server.log().count(b"content 1") == 2


def test_variables_reach_the_program_whatever_their_values(server, run):
    names = ["/it's", "/ two  words", "/a=b#c", "/$HOME", '/"quoted"']
    files = {"in": {name: name.encode() for name in names}}

    results = run(program(), inputs=files)

    assert [result.state for result in results] == [SUCCESS] * 5, results
    assert {path for _, path in server.outputs()} == set(names)


#: Asks its worker about itself, and starts its first datum again once.
CURIOUS = """
    import grpc
    from pachyderm_sdk.api import worker
    stub = worker.WorkerStub(grpc.insecure_channel("localhost:" + os.environ["PPS_WORKER_GRPC_PORT"]))
    status = stub.status()
    others = [stub.cancel(job_id="other"), stub.cancel(job_id=status.job_id, data_filters=["/other"])]
    print(status.job_id, [file.path for file in status.datum_status.data], [other.success for other in others])
    if not Path("/started").exists():
        Path("/started").touch()
        sys.stdout.flush()
        stub.cancel(job_id=status.job_id, data_filters=["/" + source.name])
        time.sleep(60)
"""


def test_a_worker_says_what_it_runs_and_starts_it_again_when_asked(server, run):
    results = run(program("pass" + CURIOUS, "import time"), inputs={"in": {"/0": b"content"}})

    assert [result.state for result in results] == [SUCCESS], results
    lines = server.log()
    assert sum(line.endswith(b" ['/0'] [False, False]") for line in lines) == 2
