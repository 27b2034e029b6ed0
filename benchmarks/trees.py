"""Trees of this version beside those of another one, inside ``storage``: building, changing, reading, comparing.

Each version runs in a process of its own with the same rows; times are processor time, which other work disturbs least. Chunks are kept in memory as a store keeps them: one zstd
frame each, every read checked against its id. "Cold" begins with empty caches.

    python -m benchmarks.trees [--files 1000000] [--base CHECKOUT_WITH_FORMAT_1]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

PER_FOLDER = 1000


class Store:
    """Chunks in memory, compressed and checked as a store does it."""

    def __init__(self) -> None:
        import zstandard
        from blake3 import blake3

        self.chunks: dict[bytes, bytes] = {}
        self._compress = zstandard.ZstdCompressor(1).compress
        self._decompress = zstandard.ZstdDecompressor().decompress
        self._hash = blake3
        self.reads = 0
        self.fresh: list[int] = []

    def add(self, data):
        id = self._hash(data).digest()
        if id not in self.chunks:
            self.chunks[id] = self._compress(data)
            self.fresh.append(len(self.chunks[id]))
        return id

    def add_many(self, pieces):
        return [self.add(piece) for piece in pieces]

    def read(self, id):
        self.reads += 1
        data = self._decompress(self.chunks[id])
        assert self._hash(data).digest() == id
        return data

    def read_many(self, ids):
        return map(self.read, ids)

    def prefetch(self, ids):
        pass


def rows(count: int, per_folder: int):
    """Yield runs of a thousand rows."""
    start = b"\1" if find_spec("trunkline.storage.file_values") else b""  # format 1 has chunk lists alone
    generator = random.Random(1)
    for folder in range(0, count, per_folder):
        ids = generator.randbytes(32 * per_folder)
        names = range(min(per_folder, count - folder))
        yield (
            [b"/d%05d/%03d.dat\0default" % (folder // per_folder, n) for n in names],
            [start + ids[32 * n : 32 * n + 32] + b"\x10\0\0\0" for n in names],
        )


def measure(count: int, per_folder: int) -> dict[str, float]:
    """Return every figure, in the units that its name says."""
    from trunkline.model.globs import compile_glob
    from trunkline.storage import files
    from trunkline.storage.trees import Trees

    try:
        from trunkline.storage.file_globs import glob
    except ImportError:
        glob = files.glob
    store = Store()
    trees = Trees(store, files.FILES)
    results: dict[str, float] = {}
    begun = time.process_time()
    tree = trees.build_runs(store, rows(count, per_folder))
    results["build, s"] = time.process_time() - begun
    results["memory, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results["stored bytes a row"] = sum(store.fresh) / count
    results["nodes"] = len(store.fresh)
    folders = count // per_folder
    generator = random.Random(2)

    def key() -> bytes:
        return b"/d%05d/%03d.dat\0default" % (generator.randrange(folders), generator.randrange(per_folder))

    value = next(iter(rows(1, 1)))[1][0]

    def other_value() -> bytes:
        return value[:1] + generator.randbytes(len(value) - 5) + value[-4:]

    def best(name: str, action, *, repeat: int = 5, cold: bool = False) -> None:
        times = []
        for _ in range(repeat):
            if cold:
                nonlocal trees
                trees = Trees(store, files.FILES)
            store.reads = 0
            begun = time.process_time()
            action()
            times.append(time.process_time() - begun)
        results[f"{name}, ms"] = 1000 * min(times)
        if cold:
            results[f"{name}, reads"] = store.reads

    def median(name: str, action, repeat: int = 21) -> None:
        times = []
        for _ in range(repeat):
            begun = time.process_time()
            action()
            times.append(time.process_time() - begun)
        results[f"{name}, ms"] = 1000 * sorted(times)[repeat // 2]

    best("get cold", lambda: trees.get(tree, key()), cold=True)
    keys = [key() for _ in range(2000)]
    for each in keys:
        trees.get(tree, each)
    best("1,000 gets warm", lambda: [trees.get(tree, each) for each in keys[-1000:]])
    written: list[tuple[int, int]] = []

    def change() -> None:
        store.fresh.clear()
        trees.merge(store, tree, [(key(), other_value())])
        written.append((sum(store.fresh), len(store.fresh)))

    median("change 1", change)
    results["change 1, KiB"] = sorted(written)[len(written) // 2][0] / 1024
    results["change 1, nodes"] = sorted(nodes for _, nodes in written)[len(written) // 2]
    changed = trees.merge(store, tree, [(key(), value)])
    best("diff of 1 cold", lambda: list(files.diff(trees, tree, changed)), cold=True)
    best("diff of 1", lambda: list(files.diff(trees, tree, changed)))
    folder = f"/d{folders // 2:05}/"
    best("list a folder cold", lambda: list(files.listing(trees, tree, folder)), cold=True)
    best("list a folder", lambda: list(files.listing(trees, tree, folder)))
    best("list / cold", lambda: list(files.listing(trees, tree, "/")), cold=True, repeat=2)
    best("list /", lambda: list(files.listing(trees, tree, "/")), repeat=3)
    best("inspect a folder cold", lambda: files.inspect(trees, tree, folder), cold=True)
    pattern = compile_glob("/*/00*")
    best("glob /*/00* cold", lambda: list(glob(trees, tree, pattern)), cold=True, repeat=2)
    best("glob /*/00*", lambda: list(glob(trees, tree, pattern)), repeat=3)
    best("scan", lambda: sum(1 for _ in trees.scan(tree)), repeat=1)
    edits = sorted({key() for _ in range(1000)})
    others = sorted({key() for _ in range(1000)} - set(edits))
    edited = {}

    def edit() -> None:
        edited["a"] = trees.merge(store, tree, [(each, other_value()) for each in edits])

    best("change 1,000 cold", edit, cold=True, repeat=2)
    edited["b"] = trees.merge(store, tree, [(each, other_value()) for each in others])
    best("rows of 1,000 differ cold", lambda: list(trees.diff(tree, edited["a"])), cold=True, repeat=2)
    best("rows of 1,000 differ", lambda: list(trees.diff(tree, edited["a"])), repeat=3)
    best(
        "files of 1,000 differ cold", lambda: list(files.diff(trees, tree, edited["a"])), cold=True, repeat=2
    )

    def three_way() -> None:
        trees.merge(store, edited["a"], [(name, after) for name, _, after in trees.diff(tree, edited["b"])])

    best("merge 1,000 + 1,000 cold", three_way, cold=True, repeat=2)
    return results


def run(source: Path, count: int, per_folder: int) -> dict[str, float]:
    """Measure a version in a process of its own."""
    command = [sys.executable, __file__, "--measure", "--files", str(count), "--folder", str(per_folder)]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout
    return json.loads(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--folder", type=int, default=PER_FOLDER)
    parser.add_argument("--base", type=Path, help="a checkout to compare with")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.files, options.folder)))
        return
    sources = Path(__file__).resolve().parents[1] / "src"
    old = run(options.base / "src", options.files, options.folder) if options.base else {}
    new = run(sources, options.files, options.folder)
    print(f"{options.files:,} files, {options.folder:,} a folder")
    print(f"{'':32}{'base':>12}{'here':>12}{'ratio':>10}")
    for name, figure in new.items():
        before = old.get(name)
        ratio = f"{figure / before:10.3f}" if before else ""
        print(f"{name:32}{before if before is not None else float('nan'):12.2f}{figure:12.2f}{ratio}")


if __name__ == "__main__":
    main()
