"""What the console says of the server itself."""

from __future__ import annotations

import scale_calls

from trunkline import __version__
from trunkline.model import limits, port_limits
from trunkline.rpc.gen import console_pb2 as pb


def test_the_server_says_how_it_is_set_up_without_secrets_and_lists_all_limits(world):
    [info] = scale_calls.call(world, "trunkline.console.v1.Console/InspectServer", pb.InspectServerRequest())

    assert (info.version, info.data_folder, info.started.seconds) == (__version__, "/data", 1)
    assert info.database == "postgresql://***@db/x"
    settings = {limit.name for limit in info.limits if limit.is_setting}
    assert settings == set(port_limits.TABLE)
    fixed = {limit.name: limit.value for limit in info.limits if not limit.is_setting}
    assert fixed == limits.TABLE
