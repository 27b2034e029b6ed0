"""Ingest of 2 GB over gRPC, unique and with 1 % changed, against borg, restic and ``cp`` on the same files.

Half of the bytes are random, half are text. borg compresses with zstd,1 and does not encrypt; restic
compresses and always encrypts. ``cp -r`` and ``sync`` beside them are the limit of the disk. All run in
turns on the same files in the same run; every figure is a whole process from start to end, and ours ends
when the commit is FINISHED.
"""

from __future__ import annotations

import atexit
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import common

FILES = 32
FILE_BYTES = 64 << 20
ROUNDS = 3


def text_source() -> bytes:
    """Return some MB of real text: the standard library's sources, their lines shuffled."""
    root = Path(os.__file__).parent
    lines: list[bytes] = []
    for path in sorted(root.rglob("*.py"))[:1500]:
        lines.extend(path.read_bytes().splitlines(keepends=True))
    random.Random(1).shuffle(lines)
    return b"".join(lines)


def make(folder: Path, files: int, size: int) -> None:
    """Write the files: the first half random, the second half text of which no two MiB are equal."""
    folder.mkdir()
    source = text_source().splitlines(keepends=True)
    for number in range(files):
        if number % 2 == 0:
            (folder / f"f{number:02d}").write_bytes(random.Random(number).randbytes(size))
            continue
        generator = random.Random(1000 + number)
        with (folder / f"f{number:02d}").open("wb") as out:
            written = 0
            while written < size:
                piece = b"".join(generator.sample(source, 20_000))[: size - written]
                written += out.write(piece)


def change(folder: Path) -> None:
    """Overwrite 1 % of every file in one place and insert seven bytes."""
    for number, path in enumerate(sorted(folder.iterdir())):
        data = path.read_bytes()
        at, count = len(data) // 3, len(data) // 100
        fresh = random.Random(5000 + number).randbytes(count)
        path.write_bytes(data[:at] + fresh + data[at + count :] + b"7 bytes")


def run(*command: str, **environment: str) -> float:
    env = {**os.environ, **environment}
    return common.timed(
        lambda: subprocess.run(
            command, check=True, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    )


def main() -> None:
    missing = [name for name in ("borg", "restic") if shutil.which(name) is None]
    if missing:
        sys.exit(
            f"the peers {', '.join(missing)} are missing; install the Debian packages borgbackup and restic"
        )
    files, size = (FILES, FILE_BYTES) if len(sys.argv) < 2 else (int(sys.argv[1]), FILE_BYTES)
    total = files * size
    times: dict[str, dict[str, list[float]]] = {
        phase: {name: [] for name in ("trunkline", "borg", "restic", "cp")} for phase in ("unique", "changed")
    }
    sources = Path(tempfile.mkdtemp(prefix="trunkline-ingest-files-", dir=common.SCRATCH))
    atexit.register(shutil.rmtree, sources, ignore_errors=True)
    make(sources / "unique", files, size)
    shutil.copytree(sources / "unique", sources / "changed")
    change(sources / "changed")
    for _ in range(ROUNDS):
        root = Path(tempfile.mkdtemp(prefix="trunkline-ingest-", dir=common.SCRATCH))
        # All know the files by one path, as if they had changed in place.
        source = root / "source"
        try:
            borg = {
                "BORG_REPO": str(root / "borg"),
                "BORG_BASE_DIR": str(root / "borg-home"),
                "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            }
            restic = {
                "RESTIC_REPOSITORY": str(root / "restic"),
                "RESTIC_PASSWORD": "x",
                "RESTIC_CACHE_DIR": str(root / "restic-cache"),
            }
            run("borg", "init", "--encryption", "none", **borg)
            run("restic", "init", **restic)
            with common.server() as server:
                server.create_repo("data")
                for phase in ("unique", "changed"):
                    (sources / phase).rename(source)
                    subprocess.run(["sync"], check=True)
                    run("cat", *map(str, sorted(source.iterdir())))  # warm for everybody
                    took = times[phase]
                    took["trunkline"].append(
                        run(
                            common.TRUNKLINE,
                            "--address",
                            server.address,
                            "put",
                            "file",
                            "data@master:/",
                            "-r",
                            "-f",
                            str(source),
                        )
                    )
                    took["borg"].append(
                        run("borg", "create", "--compression", "zstd,1", f"::{phase}", str(source), **borg)
                    )
                    took["restic"].append(run("restic", "backup", str(source), **restic))
                    copy = root / f"copy-{phase}"
                    took["cp"].append(run("sh", "-c", f"cp -r {source} {copy} && sync {copy}/*"))
                    shutil.rmtree(copy)
                    source.rename(sources / phase)
        finally:
            shutil.rmtree(root, ignore_errors=True)
    rows = []
    promises = {
        ("unique", "borg"): "1.5",
        ("unique", "restic"): "2",
        ("changed", "borg"): "3",
        ("changed", "restic"): "3",
    }
    for phase, took in times.items():
        ours = common.median(took["trunkline"])
        for name, values in took.items():
            ratio = common.median(values) / ours
            rows.append(
                [
                    phase,
                    name,
                    common.spread(values, 1, 2),
                    f"{total / common.median(values) / 1e6:.0f}",
                    f"{ratio:.2f}",
                    promises.get((phase, name), ""),
                ]
            )
    common.table(
        f"Ingest of {total / 1e9:.2f} GB",
        ["data", "what", "s, median (min - max)", "MB/s", "Trunkline is faster by", "to reach"],
        rows,
    )


if __name__ == "__main__":
    main()
