"""Every RPC of ``pps_v2.API`` is answered, or is a row of docs/from/differences.md."""

from __future__ import annotations

from pathlib import Path

from trunkline.rpc.gen import pps_pb2
from trunkline.rpc.pps import PpsServicer

#: What answers UNIMPLEMENTED.
ABSENT = {
    "RunPipeline",
    "ActivateAuth",
}
PAGE = Path(__file__).parents[2] / "docs" / "from/differences.md"


def test_every_method_is_answered_except_those_that_the_page_of_differences_names():
    methods = {method.name for method in pps_pb2.DESCRIPTOR.services_by_name["API"].methods}

    assert {name for name in methods if not hasattr(PpsServicer, name)} == ABSENT
    page = PAGE.read_text()
    assert [name for name in ABSENT if f"`{name}`" not in page] == []
