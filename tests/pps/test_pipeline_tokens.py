"""The tokens with which commands of pipelines call the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trunkline.errors import PermissionDenied, Unauthenticated
from trunkline.model import caller as callers
from trunkline.model.names import PipelineName
from trunkline.pps.pipeline_tokens import PipelineTokens, check_call

if TYPE_CHECKING:
    from pps_world import PpsWorld

INPUT = {"pfs": {"repo": "texts", "glob": "/*"}}


@pytest.fixture
def worker_id(world: PpsWorld) -> str:
    """A worker of the pipeline ``count``."""
    world.repo("texts")
    world.put("texts", {"/a": b"x"})
    world.pipeline("count", INPUT)
    return world.until_workers("count", 1)[0]


def test_a_token_is_for_the_pipeline_of_its_worker(world: PpsWorld, worker_id: str) -> None:
    token = world.on_loop(PipelineTokens(world.versions).issue(worker_id))

    # Another one, as after a restart of the server.
    caller = world.on_loop(PipelineTokens(world.versions).verify(token))

    assert caller == callers.pipeline(PipelineName("default", "count"))


def test_a_token_ends_with_the_version_of_its_worker(world: PpsWorld, worker_id: str) -> None:
    tokens = PipelineTokens(world.versions)
    token = world.on_loop(tokens.issue(worker_id))
    world.pipeline("count", INPUT, update=True)

    with pytest.raises(Unauthenticated):
        world.on_loop(tokens.verify(token))


def test_forged_tokens_are_refused_and_those_of_others_ignored(world: PpsWorld, worker_id: str) -> None:
    tokens = PipelineTokens(world.versions)
    token = world.on_loop(tokens.issue(worker_id))

    for forged in (token[:-1] + ("0" if token[-1] != "0" else "1"), f"pipeline.{worker_id}.", "pipeline.."):
        with pytest.raises(Unauthenticated):
            world.on_loop(tokens.verify(forged))
    assert world.on_loop(tokens.verify("token-of-pachyderm")) is None


@pytest.mark.parametrize(
    "rpc",
    [
        "pps_v2.API/CreatePipeline",
        "pfs_v2.API/DeleteRepo",
        "pfs_v2.API/SquashCommitSet",
        "pps_v2.API/StopJob",
        "debug_v2.Debug/GetDumpV2Template",
        "transaction_v2.API/StartTransaction",
    ],
)
def test_a_pipeline_may_neither_manage_nor_debug(rpc: str) -> None:
    with pytest.raises(PermissionDenied, match="default/count"):
        check_call(callers.pipeline(PipelineName("default", "count")), rpc)


@pytest.mark.parametrize("rpc", ["pfs_v2.API/GetFileTAR", "pfs_v2.API/ModifyFile", "pps_v2.API/ListJob"])
def test_a_pipeline_may_read_and_write_files(rpc: str) -> None:
    check_call(callers.pipeline(PipelineName("default", "count")), rpc)
