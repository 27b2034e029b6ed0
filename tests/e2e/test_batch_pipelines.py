"""Datum batching on a whole server: ``transform.datum_batching`` with the published SDK in client and program."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pachyderm_sdk.api import pps
from servers import ended, files_of, make_repo, put

if TYPE_CHECKING:
    from pachyderm_sdk import Client

PROGRAM = """
import os
from pathlib import Path
from pachyderm_sdk import batch_all_datums

@batch_all_datums
def count():
    source = Path(os.environ["numbers"])
    Path("/pfs/out", source.name).write_text(str(os.getpid()) + " " + os.environ["PACH_JOB_ID"])
    assert Path("/pachctl/config.json").exists() and os.environ["PACH_TOKEN"]
    print("counted", source.name)

count()
"""


def test_one_program_processes_the_datums_of_a_job_and_another_one_those_of_the_next(client: Client) -> None:
    branch = make_repo(client, "numbers")
    put(client, branch, {f"/{number}": b"" for number in range(20)})
    pipeline = pps.Pipeline(name="count")
    client.pps.create_pipeline(
        pipeline=pipeline,
        input=pps.Input(pps.PfsInput(repo="numbers", glob="/*")),
        transform=pps.Transform(cmd=[sys.executable, "-c", PROGRAM], datum_batching=True),
    )
    first = next(iter(client.pps.list_job(pipeline=pipeline))).job
    assert ended(client, pipeline, first.id).data_processed == 20
    put(client, branch, {"/20": b""})
    second = next(iter(client.pps.list_job(pipeline=pipeline))).job

    info = ended(client, pipeline, second.id)

    assert (info.state, info.data_processed, info.data_skipped) == (pps.JobState.JOB_SUCCESS, 1, 20)
    written = {path: data.decode().split() for path, data in files_of(client, "count@master").items()}
    earlier = {process for path, (process, _) in written.items() if path != "/20"}
    assert len(earlier) == 1
    assert written["/20"][0] not in earlier
    assert written["/0"][1] == first.id
    assert written["/20"][1] == second.id
    lines = [line for line in client.pps.get_logs(job=second) if line.user]
    assert [line.message.strip() for line in lines] == ["counted 20"]
    assert client.pps.inspect_pipeline(pipeline=pipeline, details=True).details.transform.datum_batching
