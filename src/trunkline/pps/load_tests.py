"""Load tests: random files are committed, pipelines copy them, and all commits are read again and compared.

A load test is for those who run a server: it shows that files come through storage and pipelines whole. What it makes
stays, as in Pachyderm: repos and pipelines get names of their own, and the state that it leaves lets a later one,
perhaps of a newer release, read the same commits and go on.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.model import names
from trunkline.model.names import CommitName, RepoName
from trunkline.model.states import CommitState
from trunkline.pfs import load_files, repos, watch
from trunkline.pfs.branches import BranchName
from trunkline.pfs.load_files import CheckedCommit, LoadState, Writer
from trunkline.pps import pipelines, spec_defaults
from trunkline.runtime import threads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor

    from trunkline.model.load_specs import LoadSpec, Node
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.admission import Admission
    from trunkline.pps.pipelines import Request

#: The repo of load tests of the store that name none.
_REPO = "load_test"
#: Digits that make the names of a graph's repos and pipelines new.
_DIGITS = 5


class Outcome(Struct, frozen=True):
    """How a load test ended."""

    #: Names what it leaves; empty when it failed.
    state_id: str
    #: Why it failed; empty when it did not.
    error: str


class Graph(Struct, frozen=True):
    """The repos and pipelines of a load test."""

    nodes: Sequence[Node]
    #: Workers of each pipeline; 0 for the default.
    parallelism: int
    #: For each pipeline; empty for none.
    pod_patch: str


async def run(
    versions: VersionedStore,
    executor: Executor,
    branch: BranchName,
    spec: LoadSpec,
    seed: int,
    state_id: str = "",
) -> Outcome:
    """Commit files to a branch, wait for everything downstream, and compare.

    Args:
        versions: the store.
        executor: runs blocking work.
        branch: takes the files.
        spec: of the commits.
        seed: decides the files.
        state_id: what an earlier load test of the branch has left; its commits are read first. Empty for none.

    Returns:
        How it ended: what fails while it runs is its result and raises nothing.
    """
    try:
        checked: list[CheckedCommit] = []
        if state_id:
            checked += (await threads.run(executor, load_files.state, versions, state_id)).commits
            for commit in checked:
                await threads.run(executor, load_files.check, versions, commit)
        present = await threads.run(executor, _present, versions, branch)
        writer = Writer(versions, spec, seed, present)
        for _ in range(spec.count):
            name = await threads.run(executor, writer.commit, branch)
            if writer.to_check():
                for each in await versions.query_soon(load_files.of_set, name.id):
                    await _succeeded(versions, each)
                    checked.append(
                        await threads.run(executor, load_files.compare, versions, each, writer.contents)
                    )
        return Outcome(
            await threads.run(executor, load_files.put_state, versions, LoadState(branch, checked)), ""
        )
    except errors.TrunklineError as error:
        return Outcome("", error.message)


async def create_branch(versions: VersionedStore, branch: BranchName | None) -> BranchName:
    """Create the branch of a load test of the store, and its repo, unless they exist; return it.

    Args:
        versions: the store.
        branch: None for a new branch of the repo of load tests.
    """
    target = branch or BranchName(RepoName(names.DEFAULT_PROJECT, _REPO), str(uuid.uuid4()))
    with suppress(errors.AlreadyExists):
        await versions.write_soon(repos.create_repo, target.repo, "", update=False)
    return target


async def create(
    versions: VersionedStore, executor: Executor, admission: Admission, graph: Graph
) -> BranchName:
    """Create the repos and pipelines of a graph under new names; return the branch that takes files.

    Args:
        versions: the store.
        executor: runs blocking work.
        admission: checks specs.
        graph: of the load test.
    """
    suffix = f"-{uuid.uuid4().hex[:_DIGITS]}"
    target: BranchName | None = None
    for node in graph.nodes:
        name = node.name + suffix
        if node.inputs:
            user = _spec(name, [each + suffix for each in node.inputs], graph)
            request = await threads.run(executor, _admitted, versions, admission, user)
            await versions.write_soon(pipelines.create, request, update=False, reprocess=False)
        else:
            repo = RepoName(names.DEFAULT_PROJECT, name)
            await versions.write_soon(repos.create_repo, repo, "", update=False)
            target = target or BranchName(repo, "master")
    assert target is not None
    return target


async def branch_of(versions: VersionedStore, executor: Executor, state_id: str) -> BranchName:
    """Return the branch of the load test that has left a state.

    Args:
        versions: the store.
        executor: runs blocking work.
        state_id: names the state.

    Raises:
        NotFound: there is no such file set, or its time is over.
        InvalidArgument: it is not the state of a load test.
    """
    return (await threads.run(executor, load_files.state, versions, state_id)).branch


def _spec(name: str, inputs: Sequence[str], graph: Graph) -> dict[str, object]:
    """Return the spec of a pipeline that copies files: a datum for each name at the top of its inputs."""
    leaves = [
        {"name": f"input-{number}", "repo": repo, "branch": "master", "glob": "/*"}
        for number, repo in enumerate(inputs)
    ]
    joined = [{"pfs": leaf | {"glob": "/(*)", "join_on": "$1", "outer_join": True}} for leaf in leaves]
    return {
        "pipeline": {"name": name},
        "description": "copies the files of a load test",
        "transform": {
            "cmd": ["sh"],
            "stdin": ['for input in /pfs/input-*; do cp -r "$input/." /pfs/out/ || exit; done'],
        },
        "input": {"pfs": leaves[0]} if len(leaves) == 1 else {"join": joined},
        "autoscaling": True,
        **({"parallelism_spec": {"constant": graph.parallelism}} if graph.parallelism else {}),
        **({"pod_patch": graph.pod_patch} if graph.pod_patch else {}),
    }


def _admitted(versions: VersionedStore, admission: Admission, user: Mapping[str, object]) -> Request:
    """Return a spec over its defaults, checked. Blocks."""
    return admission.admit(user, versions.read(spec_defaults.for_spec, user))


def _present(versions: VersionedStore, branch: BranchName) -> load_files.Contents:
    """Return the files of a branch; of one that does not exist or has no commit, none. Blocks."""
    try:
        return load_files.contents(versions, CommitName(branch.repo, branch=branch.name))
    except errors.NotFound:
        return {}


async def _succeeded(versions: VersionedStore, name: CommitName) -> None:
    """Wait until a commit is finished.

    Raises:
        FailedPrecondition: it was finished with an error.
    """
    row = await watch.wait_commit(versions, name, CommitState.FINISHED)
    if row.error:
        raise errors.FailedPrecondition(f"commit {name} failed: {row.error}")
