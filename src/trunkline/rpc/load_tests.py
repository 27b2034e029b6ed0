"""Load tests over ``pps_v2.API`` and ``debug_v2.Debug``.

The classes of their specs are imported by the calls: defining them takes 4 ms, which no start of a server needs.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from trunkline.pfs.branches import BranchName
from trunkline.pps import load_tests
from trunkline.pps.load_tests import Graph
from trunkline.rpc import convert
from trunkline.rpc.gen import debug_pb2, pfs_pb2, pps_pb2
from trunkline.rpc.servicer import ServicerBase

if TYPE_CHECKING:
    from google.protobuf.empty_pb2 import Empty

    from trunkline.pps.admission import Admission
    from trunkline.rpc.call import Call

#: A seed of 0 means any; seeds are positive, as in Pachyderm.
_SEEDS = 2**62


class PipelineLoadCalls(ServicerBase):
    """Load tests of pipelines."""

    _admission: Admission

    async def RunLoadTest(
        self, request: pps_pb2.RunLoadTestRequest, call: Call
    ) -> pps_pb2.RunLoadTestResponse:
        from trunkline.model import load_specs

        spec = load_specs.parse(request.load_spec)
        store, executor = self._store(call), self._executor
        if request.state_id:
            branch = await load_tests.branch_of(store, executor, request.state_id)
        else:
            nodes = load_specs.parse_graph(request.dag_spec)
            graph = Graph(nodes, request.parallelism, request.pod_patch)
            branch = await load_tests.create(store, executor, self._admission, graph)
        outcome = await load_tests.run(store, executor, branch, spec, _seed(request.seed), request.state_id)
        return pps_pb2.RunLoadTestResponse(error=outcome.error, state_id=outcome.state_id)

    async def RunLoadTestDefault(self, _request: Empty, call: Call) -> pps_pb2.RunLoadTestResponse:
        from trunkline.model import load_specs

        return await self.RunLoadTest(
            pps_pb2.RunLoadTestRequest(
                dag_spec=load_specs.DEFAULT_GRAPH, load_spec=load_specs.DEFAULT_SPEC, parallelism=1
            ),
            call,
        )


class StoreLoadCalls(ServicerBase):
    """Load tests of the store."""

    async def RunPFSLoadTest(
        self, request: debug_pb2.RunPfsLoadTestRequest, call: Call
    ) -> debug_pb2.RunPfsLoadTestResponse:
        from trunkline.model import load_specs

        spec = load_specs.parse(request.spec)
        store, executor = self._store(call), self._executor
        named = None
        if request.HasField("branch"):
            named = BranchName(convert.repo_name(request.branch.repo), request.branch.name)
        branch = await load_tests.create_branch(store, named)
        seed, start = _seed(request.seed), time.monotonic()
        outcome = await load_tests.run(store, executor, branch, spec, seed, request.state_id)
        response = debug_pb2.RunPfsLoadTestResponse(
            spec=request.spec,
            branch=pfs_pb2.Branch(repo=convert.repo_message(branch.repo), name=branch.name),
            seed=seed,
            error=outcome.error,
            state_id=outcome.state_id,
        )
        response.duration.FromNanoseconds(round((time.monotonic() - start) * 1e9))
        return response

    async def RunPFSLoadTestDefault(self, _request: Empty, call: Call) -> debug_pb2.RunPfsLoadTestResponse:
        from trunkline.model import load_specs

        return await self.RunPFSLoadTest(debug_pb2.RunPfsLoadTestRequest(spec=load_specs.DEFAULT_SPEC), call)


def _seed(requested: int) -> int:
    return requested if requested > 0 else secrets.randbelow(_SEEDS) + 1
