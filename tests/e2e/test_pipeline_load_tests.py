"""Load tests of pipelines on a whole server, through the published SDK."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pachyderm_sdk import Client

#: They go through whole servers for seconds; continuous integration runs them by name.
pytestmark = pytest.mark.slow

GRAPH = """
source:
copy: source
joined: source, copy
"""
SPEC = {
    "count": 2,
    "modifications": [{"count": 1, "putFile": {"count": 3, "source": "small"}}],
    "fileSources": [{"name": "small", "random": {"sizes": [{"min": 0, "max": 9999, "prob": 100}]}}],
    "validator": {},
}


def run(client: Client, seed: int, graph: str = "", state_id: str = "") -> tuple[str, str]:
    answer = client.pps.run_load_test(
        dag_spec=graph, load_spec=json.dumps(SPEC), seed=seed, state_id=state_id
    )
    return answer.error, answer.state_id


def test_files_come_through_pipelines_whole_and_a_later_test_goes_on(client: Client) -> None:
    error, state_id = run(client, 1, GRAPH)
    later, _ = run(client, 2, state_id=state_id)

    assert (error, later) == ("", "")
    infos = list(client.pps.list_pipeline())
    assert sorted(info.pipeline.name.rpartition("-")[0] for info in infos) == ["copy", "joined"]
    newest = [next(iter(client.pps.list_job(pipeline=info.pipeline))) for info in infos]
    assert [job.data_total for job in newest] == [12, 12]


@pytest.mark.slow
def test_the_default_load_test_passes(client: Client) -> None:
    answer = client.pps.run_load_test_default()

    assert answer.error == ""
    assert answer.state_id
