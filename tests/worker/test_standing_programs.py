"""Standing programs: commands that run without end, whose files change meanwhile."""

from __future__ import annotations

import signal

from fake_server import assignment

from trunkline.rpc.gen import worker_api_pb2 as pb

#: Prints what it sees of its input, once for each change of .env.
SHOWING = """
echo started
while :; do
    if ! cmp -s $PFS_ROOT/.env "$TMPDIR/seen"; then
        cp $PFS_ROOT/.env "$TMPDIR/seen"
        echo "sees $(cat $PFS_ROOT/words/*)"
    fi
    sleep 0.02
done
"""


def hand_out(server, script: str, word: bytes, job: str) -> None:
    """Let the fake server hand out a program, with one datum."""
    run = assignment(server, {"words": {"/a": word}}, ["sh", "-c", script])
    run.job_id = run.output_commit_id = job
    message = server.assignments.pop()
    message.claim_id = f"claim of {job}"
    program = pb.DatumRun()
    program.CopyFrom(run)
    message.program_run.CopyFrom(program)
    server.assignments.append(message)


def test_a_program_goes_on_while_its_files_change(server, workers_anywhere):
    server.retire_when_empty = False
    hand_out(server, SHOWING, b"one", "1" * 32)
    worker = workers_anywhere.start()
    server.wait_until(lambda: b"sees one" in server.log())

    for number, word in enumerate((b"two", b"three", b"four"), start=2):
        hand_out(server, SHOWING, word, str(number) * 32)
        server.wait_until(lambda word=word: b"sees " + word in server.log())

    server.retire_when_empty = True
    assert worker.wait(60) == 0
    assert server.log().count(b"started") == 1
    assert server.ended_programs == []


def test_a_program_that_ends_is_reported_and_ends_its_worker(server, workers_both):
    server.retire_when_empty = False
    hand_out(server, "echo last words; exit 7", b"one", "1" * 32)

    worker = workers_both.start()

    assert worker.wait(60) == 1
    assert server.ended_programs == ["exit code 7"]
    assert b"last words" in server.log()


def test_a_program_that_cannot_be_started_is_reported_with_the_reason(server, workers):
    server.retire_when_empty = False
    hand_out(server, "", b"one", "1" * 32)
    server.assignments[0].program_run.command.cmd[:] = ["/no/such/program"]

    assert workers.start().wait(60) == 1

    [reason] = server.ended_programs
    assert "/no/such/program" in reason


def test_a_worker_that_is_stopped_ends_its_program_at_once(server, workers_both):
    server.retire_when_empty = False
    hand_out(server, SHOWING, b"one", "1" * 32)
    worker = workers_both.start()
    server.wait_until(lambda: b"sees one" in server.log())

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(60) == 0
    assert server.ended_programs == []
