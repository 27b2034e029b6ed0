"""The debug service; only log levels are implemented."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.rpc.gen import debug_pb2 as pb
from trunkline.telemetry.logs import LEVELS, ROOT, LevelOverride

if TYPE_CHECKING:
    from trunkline.rpc.call import Call
    from trunkline.rpc.gen.debug_pb2 import SetLogLevelRequest, SetLogLevelResponse

_LEVELS = {
    pb.SetLogLevelRequest.DEBUG: LEVELS["debug"],
    pb.SetLogLevelRequest.INFO: LEVELS["info"],
    pb.SetLogLevelRequest.ERROR: LEVELS["error"],
    pb.SetLogLevelRequest.OFF: LEVELS["off"],
}
#: The longest time for which a level can be set, in seconds: a day.
LONGEST = 86_400.0

log = logging.getLogger("trunkline.rpc")


class DebugServicer:
    """Answers ``debug_v2.Debug``."""

    def __init__(self) -> None:
        self._trunkline = LevelOverride(ROOT)
        self._grpc = LevelOverride("grpc")

    async def SetLogLevel(self, request: SetLogLevelRequest, _call: Call) -> SetLogLevelResponse:
        which = request.WhichOneof("level")
        number = getattr(request, which) if which else pb.SetLogLevelRequest.UNKNOWN
        if number not in _LEVELS:
            raise errors.InvalidArgument(
                "the request sets no log level; set pachyderm or grpc to DEBUG, INFO, ERROR or OFF"
            )
        seconds = request.duration.seconds + request.duration.nanos / 1e9
        if not 0 < seconds <= LONGEST:
            raise errors.InvalidArgument(
                f"a log level cannot be set for {seconds:g} s; set duration to more than 0 and at most {LONGEST:g} s"
            )
        override = self._trunkline if which == "pachyderm" else self._grpc
        override.set(_LEVELS[number], seconds)
        log.warning(
            "log level set",
            extra={"action": "log_level_set", "which": which, "level": _LEVELS[number], "duration": seconds},
        )
        return pb.SetLogLevelResponse(affected_pods=["server"])

    def close(self) -> None:
        """Restore the usual levels."""
        self._trunkline.reset()
        self._grpc.reset()
