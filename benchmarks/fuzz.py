"""How malformed requests of one client affect others: the latency of a probe beside the fuzzer, against an idle
server of the same run. ``fuzz.py [SECONDS] [SEED]``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import common

sys.path.append(str(Path(__file__).parents[1] / "tests" / "e2e"))
from fuzzer import Fuzzer, Probe, make_world

#: The target: the probe's 99th percentile beside the fuzzer, in multiples of the idle server's.
TARGET = 20.0


def measure(seconds: float, seed: int) -> tuple[Probe, Probe, Fuzzer]:
    """Return the probe of the idle server, the one beside the fuzzer, and the fuzzer."""
    with common.server() as server:
        fuzzer = Fuzzer(server.address, seed)
        fuzzer.messages.names = make_world(server.address)
        try:
            with Probe(server.address) as idle:
                time.sleep(seconds / 4)
            with Probe(server.address) as busy:
                fuzzer.run(seconds)
        finally:
            fuzzer.close()
    return idle, busy, fuzzer


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    idle, busy, fuzzer = measure(seconds, seed)
    ratio = busy.percentile(0.99) / idle.percentile(0.99)
    print(
        f"fuzzer: {fuzzer.outcome.calls} calls, {len(fuzzer.outcome.faults)} faults; probe: {len(busy.failures)} failures"
    )
    common.table(
        "Hostile messages",
        ["probe", "calls", "p50, ms", "p99, ms", "longest, ms", "p99, times idle", "to reach"],
        [
            [
                name,
                f"{len(probe.latencies):,}",
                f"{probe.percentile(0.5) * 1e3:.1f}",
                f"{probe.percentile(0.99) * 1e3:.0f}",
                f"{max(probe.latencies) * 1e3:.0f}",
                f"{probe.percentile(0.99) / idle.percentile(0.99):.1f}",
                target,
            ]
            for name, probe, target in (("idle server", idle, ""), ("beside the fuzzer", busy, f"{TARGET:g}"))
        ],
    )
    print(f"p99 ratio {ratio:.1f}, target at most {TARGET:g}")
    sys.exit(0 if ratio <= TARGET and not fuzzer.outcome.faults and not busy.failures else 1)


if __name__ == "__main__":
    main()
