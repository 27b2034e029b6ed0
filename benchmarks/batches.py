"""Batched datums that do nothing, by the published SDK, one worker: against the same SDK asking a server that does
nothing but answer, and against starting an interpreter for each datum.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import subprocess
import sys
import tempfile

import common

DATUMS = 2000
RUNS = 3
BATCH = "from pachyderm_sdk import batch_all_datums\n@batch_all_datums\ndef nothing(): pass\nnothing()"
#: Prints the seconds of a loop of NextDatum alone, and of one in which the SDK reads the file of variables as well.
LOOP = """
import sys, time
from pachyderm_sdk import Client
from pachyderm_sdk.api.worker import extension
extension.DOTENV_PATH_WORKER = sys.argv[2]
worker = Client().worker
worker.next_datum()
begun = time.perf_counter()
for _ in range(int(sys.argv[1])):
    worker.next_datum()
asked = time.perf_counter()
for _ in range(int(sys.argv[1])):
    with worker.batch_datum():
        pass
print(asked - begun, time.perf_counter() - asked)
"""
#: The variables of a datum of one input.
VARIABLES = "".join(
    f"{name}='{32 * 'a'}'\n" for name in ("PACH_DATUM_ID", "PACH_JOB_ID", "data", "data_COMMIT", "TMPDIR")
)


def bare_worker(ready) -> None:
    """Answer each call of NextDatum at once."""
    from trunkline.drivers.http.h2corn_server import H2cornServer
    from trunkline.model.port_limits import PortLimits
    from trunkline.rpc import methods
    from trunkline.rpc.asgi.calls import Calls
    from trunkline.rpc.asgi.grpc_application import GrpcApplication
    from trunkline.rpc.gen import worker_pb2
    from trunkline.runtime.listening import Listeners

    service = worker_pb2.DESCRIPTOR.services_by_name["Worker"]

    class Bare:
        async def NextDatum(self, _request, _call):
            return worker_pb2.NextDatumResponse(env=["PACH_DATUM_ID=1"])

    async def serve() -> None:
        server = H2cornServer(Listeners(["127.0.0.1:0"]), PortLimits(connections=16), "text")
        table = methods.table({service.full_name: Bare()}, {service.full_name: service})
        await server.start(GrpcApplication(Calls(table)))
        ready.send(server.address)
        await asyncio.Event().wait()

    asyncio.run(serve())


def asking() -> list[float]:
    """Return the seconds in which a program of the SDK asks a bare server for all datums; see ``LOOP``."""
    receive, send = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.Process(target=bare_worker, args=(send,), daemon=True)
    server.start()
    port = receive.recv().rpartition(":")[2]
    try:
        environment = {"PPS_WORKER_GRPC_PORT": port, "PATH": "/usr/bin:/bin", "PACH_IN_WORKER": "true"}
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(VARIABLES)
            file.flush()
            command = [sys.executable, "-c", LOOP, str(DATUMS), file.name]
            answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        return [float(text) for text in answer.stdout.split()]
    finally:
        server.terminate()
        server.join()


def job(cmd: list[str], count: int, **transform: object) -> float:
    """Return the seconds in which one warm worker runs a job of so many datums."""
    with common.server() as server:
        server.create_repo("data")
        server.create_pipeline(
            "each", cmd, "data", transform={"cmd": cmd, **transform}, parallelism_spec={"constant": 1}
        )
        server.await_workers("each", 1)
        warm = server.start_commit("data")
        server.put(warm, [("/warm", b"")])
        server.finish_commit(warm)
        server.wait_job("each", warm.id)
        commit = server.start_commit("data")
        server.put(commit, ((f"/{number:06d}", b"%d" % number) for number in range(count)))
        return common.timed(lambda: (server.finish_commit(commit), server.wait_job("each", commit.id)))


def main() -> None:
    bare, reading, batched, single = [], [], [], []
    few = DATUMS // 10
    for _ in range(RUNS):
        alone, with_file = asking()
        bare.append(alone / DATUMS)
        reading.append(with_file / DATUMS)
        batched.append(job([sys.executable, "-c", BATCH], DATUMS, datum_batching=True) / DATUMS)
        single.append(job([sys.executable, "-c", "pass"], few) / few)
    rates = [1 / common.median(times) for times in (bare, reading, batched, single)]
    common.table(
        f"{DATUMS} batched datums that do nothing, one worker",
        ["what", "datums/s", "of NextDatum alone", "of the SDK's loop", "times unbatched", "to reach"],
        [
            ["NextDatum of a bare server, in a loop", f"{rates[0]:.0f}", "1", "", "", ""],
            ["the SDK's loop on a bare server", f"{rates[1]:.0f}", "", "1", "", ""],
            [
                "batch_all_datums",
                f"{rates[2]:.0f}",
                f"{rates[2] / rates[0]:.2f}",
                f"{rates[2] / rates[1]:.2f}",
                f"{rates[2] / rates[3]:.1f}",
                "0.5 of a loop, 5 times unbatched",
            ],
            ["`python3 -c pass` for each datum", f"{rates[3]:.0f}", "", "", "1", ""],
        ],
    )


if __name__ == "__main__":
    main()
