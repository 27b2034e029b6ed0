"""What a datum costs beside its command: `true`, two workers, against ``xargs -P2 -n1 true`` on the same list.

The limit is what two bare programs take that make a worker's system calls for each datum and nothing else.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

import common

DATUMS = 5000
#: Makes the folders and the file of a datum, starts `true`, waits for it, looks for outputs and removes all.
BARE = """
import os, select, sys
os.chdir(sys.argv[2])
for name in ("out", "tmp", "shown"):
    os.mkdir(name)
for _ in range(int(sys.argv[1])):
    os.mkdir("datum"); os.mkdir("datum/data")
    file = os.open("datum/data/file", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    os.write(file, b"12345"); os.close(file)
    os.rename("datum/data", "shown/data")
    reader, writer = os.pipe(); empty = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, empty, 0), *((os.POSIX_SPAWN_DUP2, writer, at) for at in (1, 2))]
    child = os.posix_spawnp("true", ["true"], os.environ, file_actions=actions, setsid=True)
    os.close(writer); os.close(empty)
    ended = os.pidfd_open(child); poller = select.poll()
    for each in (ended, reader):
        poller.register(each, select.POLLIN)
    poller.poll(); os.wait4(child, 0); os.close(ended); os.close(reader)
    os.listdir("out"); os.listdir("tmp"); os.listdir("shown")
    os.rename("shown/data", "datum/data")
    os.unlink("datum/data/file"); os.rmdir("datum/data"); os.rmdir("datum")
"""


def xargs(count: int) -> float:
    names = "\n".join(f"/pfs/data/{number:06d}" for number in range(count)).encode()
    return common.timed(lambda: subprocess.run(["xargs", "-P2", "-n1", "true"], input=names, check=True))


def bare_loops(count: int) -> float:
    """Return the seconds that two bare programs take for half of the datums each, with folders in memory."""

    def run() -> None:
        with (
            tempfile.TemporaryDirectory(dir="/dev/shm") as first,
            tempfile.TemporaryDirectory(dir="/dev/shm") as second,
        ):
            programs = [
                subprocess.Popen([sys.executable, "-S", "-c", BARE, str(count // 2), folder])
                for folder in (first, second)
            ]
            assert [program.wait() for program in programs] == [0, 0]

    return common.timed(run)


def main() -> None:
    ours, peer, limit, cpu = [], [], [], []
    for turn in range(3):
        with common.server() as server:
            server.create_repo("data")
            server.create_pipeline("each", ["true"], "data", parallelism_spec={"constant": 2})
            server.await_workers("each", 2)
            commit = server.start_commit("data")
            server.put(commit, ((f"/{number:06d}", b"%d" % number) for number in range(DATUMS)))
            before = common.cpu_seconds(server.process.pid)
            ours.append(
                common.timed(lambda: (server.finish_commit(commit), server.wait_job("each", commit.id)))
            )
            cpu.append(common.cpu_seconds(server.process.pid) - before)
        peer.append(xargs(DATUMS))
        limit.append(bare_loops(DATUMS))
    rate, bare = DATUMS / common.median(ours), DATUMS / common.median(peer)
    common.table(
        f"{DATUMS} datums of `true`, 2 workers",
        [
            "what",
            "s, median (min - max)",
            "datums/s",
            "of xargs",
            "server's CPU, µs a datum",
            "to reach",
            "Pachyderm, recorded",
        ],
        [
            ["xargs -P2 -n1 true", common.spread(peer, 1, 2), f"{bare:.0f}", "1", "", "", ""],
            [
                "two bare loops of the same system calls",
                common.spread(limit, 1, 2),
                f"{DATUMS / common.median(limit):.0f}",
                f"{common.median(peer) / common.median(limit):.2f}",
                "",
                "",
                "",
            ],
            [
                "FinishCommit -> job SUCCESS",
                common.spread(ours, 1, 2),
                f"{rate:.0f}",
                f"{rate / bare:.2f}",
                f"{common.median(cpu) / DATUMS * 1e6:.0f}",
                "0.82 of xargs; 150 µs",
                "24 datums/s",
            ],
        ],
    )


if __name__ == "__main__":
    main()
