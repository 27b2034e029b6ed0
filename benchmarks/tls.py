"""What TLS costs: the same calls to a plain server and to one with ``--tls auto``, in turns.

``python benchmarks/tls.py [--mebibytes N] [--runs N]``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from pathlib import Path

import common
from port import FOLDER, commit_of, drained, in_turns

from trunkline.client.channel import Channel
from trunkline.client.trust import Trust
from trunkline.rpc.gen import pfs_pb2

LISTINGS = 30


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mebibytes", type=int, default=512)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    rows = []
    with common.server() as plain, common.server("--tls", "auto") as secure:
        ca = str(Path(secure.data) / "data/tls/public/ca.pem")
        secure.channel = Channel(f"grpcs://{secure.address}", trust=Trust((ca,)))
        block = os.urandom(1 << 20)

        def measure(what: str, action, limit: str, runs: int = options.runs) -> None:
            without, with_tls = in_turns(lambda: action(plain), lambda: action(secure), runs=runs)
            ratio = common.median(without) / common.median(with_tls)
            rows.append([what, common.spread(without), common.spread(with_tls), f"{ratio:.2f}", limit])

        for server in (plain, secure):
            server.create_repo("files")
            server.create_repo("large")
            server.put(commit_of("files"), ((f"/{number:06}", b"x") for number in range(FOLDER)))
        listing = pfs_pb2.ListFileRequest(file=pfs_pb2.File(commit=commit_of("files"), path="/"))
        large = pfs_pb2.GetFileRequest(file=pfs_pb2.File(commit=commit_of("large"), path="/random"))

        def small(server: common.Server) -> None:
            for _ in range(LISTINGS):
                assert drained(server.channel, "ListFile", listing) == FOLDER

        def put_small(server: common.Server) -> None:
            server.put(commit_of("files"), ((f"/in/{number:06}", b"x" * 1000) for number in range(20_000)))

        def put(server: common.Server) -> None:
            pieces = (number.to_bytes(4) + block[4:] for number in range(options.mebibytes))
            server.put(commit_of("large"), (("/random", piece) for piece in pieces))

        def get(server: common.Server) -> None:
            drained(server.channel, "GetFile", large)

        def list_repo(server: common.Server) -> None:
            access = ("--ca", ca) if server is secure else ()
            command = [common.TRUNKLINE, "list", "repo", "--address", server.address, *access]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

        measure(f"{LISTINGS} times ListFile of {FOLDER}", small, "0.8")
        measure("20,000 files of 1 kB in one stream", put_small, "0.8")
        measure(f"{options.mebibytes} MiB random in", put, "0.6", 3)
        measure(f"{options.mebibytes} MiB random out", get, "0.6", 3)
        measure("trunkline list repo", list_repo, "≤ 65 ms", 15)
    common.table("TLS", ["what", "plain, ms", "TLS, ms", "TLS's speed", "to reach"], rows)


if __name__ == "__main__":
    main()
