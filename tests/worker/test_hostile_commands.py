"""Commands that write, print, link, nest or take more than they should: their datum ends with a reason."""

from __future__ import annotations

import sys

import pytest
from fake_server import assignment

from trunkline.model import limits
from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.worker import outputs

SUCCESS, FAILED = pb.DatumResult.SUCCESS, pb.DatumResult.FAILED


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def run(server, workers, command: list[str], tries: int = 1, timeout: float = 0.0) -> pb.DatumResult:
    """Run the command for two datums, one after the other; both end alike. Return the first one's result."""
    message = assignment(server, {"in": {"/a": b"", "/b": b""}}, command)
    message.datum_tries, message.datum_timeout_seconds = tries, timeout
    assert workers.run() == 0
    first, second = server.results()
    assert second.state == first.state
    return first


@pytest.mark.parametrize("place", ["$PFS_ROOT/out", pytest.param("$TMPDIR", marks=pytest.mark.slow)])
def test_deep_folders_are_removed_and_named_when_they_are_outputs(server, workers_both, place):
    script = f"cd {place}; for i in $(seq 1500); do mkdir d && cd d; done; : > file"

    result = run(server, workers_both, ["sh", "-c", script])

    in_out = place.endswith("/out")
    assert result.state == (FAILED if in_out else SUCCESS)
    assert in_out == ("path" in result.reason)


def test_links_that_make_millions_of_paths_end_at_a_limit(server, workers):
    code = """
import os
for i in range(30):
    os.mkdir(f'/pfs/out/d{i}')
    for name in 'ab': os.symlink(f'/pfs/out/d{i + 1}', f'/pfs/out/d{i}/{name}')
os.mkdir('/pfs/out/d30'); open('/pfs/out/d30/f', 'w').close()
"""

    result = run(server, workers, python(code))

    assert result.state == FAILED
    assert f"the limit is {limits.LINKED_FOLDERS:,}" in result.reason


def test_a_file_of_a_terabyte_of_nothing_is_refused(server, workers):
    result = run(server, workers, ["sh", "-c", "truncate -s 1T /pfs/out/sparse"])

    assert result.state == FAILED
    assert f"the limit is {limits.OUTPUT_BYTES:,}" in result.reason


def test_gathering_outputs_can_be_ended(tmp_path):
    """The worker ends it when the datum's time is over or the claim is lost."""
    for number in range(1_500):
        (tmp_path / str(number)).touch()

    class Ended(Exception):
        pass

    def check() -> None:
        raise Ended

    with pytest.raises(Ended):
        list(outputs.find(str(tmp_path), check=check) or ())


def test_a_timeout_may_be_longer_than_the_kernel_waits(server, workers_both):
    assert run(server, workers_both, ["true"], timeout=10 * 365 * 86_400).state == SUCCESS


def test_millions_of_short_lines_cost_bounded_memory_and_are_counted(server, workers):
    result = run(server, workers, ["sh", "-c", "yes | head -n 3000000"])

    assert result.state == SUCCESS
    lines = server.log()
    assert set(lines) == {b"y"}
    [note, _] = [line for line in server.log(system=True) if b"more bytes were dropped" in line]
    dropped = int(note.split(b"; ")[1].split()[0])
    assert dropped // 2 + len(lines) // 2 == 3_000_000


def test_a_command_that_takes_more_memory_than_its_limit_is_ended(server, workers):
    workers.extra["TRUNKLINE_MEMORY_LIMIT"] = str(100 << 20)
    code = "import time\nkept = []\nwhile True: kept.append(bytearray(20 << 20)); time.sleep(0.02)"

    result = run(server, workers, python(code))

    assert result.state == FAILED
    assert "ran out of memory" in result.reason
    assert "its limit was 100 MiB" in result.reason


#: Takes 150 MiB until it is seen.
HUNGRY = "import time\nblock = bytearray(150 << 20)\ntime.sleep({seconds})"


def test_a_datum_that_ran_out_of_memory_is_tried_again_with_more_where_the_spec_allows_it(server, workers):
    workers.extra["TRUNKLINE_MEMORY_LIMIT"] = str(100 << 20)
    again = "import pathlib\nagain = pathlib.Path('/again').exists()\npathlib.Path('/again').touch()\n"
    code = again + HUNGRY.format(seconds="0.5 if again else 60")
    message = assignment(server, {"in": {"/f": b""}}, python(code))
    message.memory_retry_bytes = 300 << 20

    workers.run()

    [result] = server.results()
    assert (result.state, result.reason) == (SUCCESS, "")
    assert result.peak_memory_bytes > 150 << 20
    assert result.cpu_ns > 0
    assert any(b"tried again with 200 MiB" in line for line in server.log(system=True))


def test_the_retry_with_more_memory_ends_at_its_limit(server, workers):
    workers.extra["TRUNKLINE_MEMORY_LIMIT"] = str(60 << 20)
    message = assignment(server, {"in": {"/f": b""}}, python(HUNGRY.format(seconds=60)))
    message.memory_retry_bytes = 90 << 20

    workers.run()

    [result] = server.results()
    assert result.state == FAILED
    assert "its limit was 90 MiB" in result.reason


def test_memory_that_processes_share_counts_once(server, workers):
    workers.extra["TRUNKLINE_MEMORY_LIMIT"] = str(300 << 20)
    code = """
import os, time
shared = bytearray(os.urandom(1 << 20)) * 150
for _ in range(3):
    if os.fork() == 0: break
time.sleep(0.5)
"""

    assert run(server, workers, python(code)).state == SUCCESS


def test_each_failed_attempt_is_in_the_log_with_its_reason(server, workers):
    run(server, workers, ["sh", "-c", "exit 3"], tries=2)

    lines = [line.decode() for line in server.log(system=True) if b"failed" in line]
    assert [line.partition(" (")[2].rstrip(")") for line in lines[:2]] == ["attempt 1 of 2", "attempt 2 of 2"]
    assert all("exit code 3" in line for line in lines)
