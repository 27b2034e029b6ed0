"""The limits of the port: what bounds clients before and while their calls are read.

Unlike those of ``model.limits`` they are settings of a server (``serve --limit NAME=VALUE``): what they should be
depends on its network, its machine and what stands in front of it. ``docs/reference/limits.md`` lists the table below.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from trunkline.errors import InvalidArgument
from trunkline.model.quantities import parse_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable


class PortLimit(NamedTuple):
    """What a limit is, for its table."""

    #: As in ``--limit``.
    name: str
    default: int | float
    unit: str
    least: int | float
    most: int | float
    #: What it bounds.
    bounds: str


def _limit(default: float, unit: str, least: float, most: float, bounds: str) -> Any:
    return field(default=default, metadata={"unit": unit, "least": least, "most": most, "bounds": bounds})


@dataclass(frozen=True, slots=True, kw_only=True)
class PortLimits:
    """The limits of one server."""

    connections: int = _limit(
        10_000,
        "connections",
        1,
        1_000_000,
        "connections at a time; further ones wait. At most three quarters of the files that the process "
        "may open",
    )
    connections_per_address: int = _limit(
        2_500,
        "connections",
        1,
        1_000_000,
        "connections of one client address at a time; further ones are closed, and before them those "
        "without requests. Not for addresses of `--trust-proxy`",
    )
    streams: int = _limit(
        4_096,
        "requests",
        1,
        1_000_000,
        "requests at a time on one connection; a further stream is refused. A channel of the published "
        "SDK may hold 2,000",
    )
    requests: int = _limit(
        32_768,
        "requests",
        1,
        10_000_000,
        "requests at a time on all connections; a further one gets 503, which gRPC's clients call "
        "`UNAVAILABLE`",
    )
    headers: int = _limit(
        100,
        "headers",
        10,
        10_000,
        "headers of a request",
    )
    header_bytes: int = _limit(
        64 << 10,
        "bytes",
        8 << 10,
        16 << 20,
        "headers of a request",
    )
    stream_window: int = _limit(
        1 << 20,
        "bytes",
        64 << 10,
        1 << 30,
        "bytes that a client may send ahead on a stream",
    )
    connection_window: int = _limit(
        8 << 20,
        "bytes",
        64 << 10,
        1 << 30,
        "the same on a connection; at least `stream-window`",
    )
    handshake: float = _limit(
        5,
        "seconds",
        0.1,
        3_600,
        "until a new connection has said what it speaks, with TLS",
    )
    header_pause: float = _limit(
        10,
        "seconds",
        0.1,
        3_600,
        "between two bytes of headers",
    )
    header_time: float = _limit(
        60,
        "seconds",
        1,
        86_400,
        "in which bytes of headers arrive that do not make a request",
    )
    body_pause: float = _limit(
        60,
        "seconds",
        0.1,
        86_400,
        "between two bytes of a body that is not gRPC's",
    )
    idle_connection: float = _limit(
        600,
        "seconds",
        1,
        86_400,
        "without a request, until a connection is closed",
    )
    message: int = _limit(
        20 << 20,
        "bytes",
        4 << 20,
        64 << 20,
        "one message of a request or an answer; the published SDK sends and takes 20 MiB",
    )
    upload_idle: float = _limit(
        600,
        "seconds",
        1,
        86_400,
        "between two messages of a client's stream; what it has sent is kept in memory and open packs",
    )
    download_idle: float = _limit(
        600,
        "seconds",
        1,
        86_400,
        "in which a client takes a message of the answer; the next ones are in memory",
    )
    arriving_requests: int = _limit(
        128 << 20,
        "bytes",
        32 << 20,
        1 << 40,
        "messages above 64 KiB that are arriving, and single ones that are being answered, together; see "
        "`request-stall`",
    )
    request_stall: float = _limit(
        20,
        "seconds",
        1,
        86_400,
        "in which a client sends a part of a message while there are more of them than `arriving-requests`",
    )
    unsent_answers: int = _limit(
        128 << 20,
        "bytes",
        1 << 20,
        1 << 40,
        "parts of answers that wait for their clients together; see `answer-stall`",
    )
    answer_stall: float = _limit(
        20,
        "seconds",
        1,
        86_400,
        "in which a client takes a part of the answer while there are more of them than `unsent-answers`",
    )
    stop_grace: float = _limit(
        1,
        "seconds",
        0,
        3_600,
        "that running calls have to end when the server stops",
    )


#: The limits of a server that sets none.
DEFAULTS = PortLimits()
#: Every limit by its name.
TABLE: dict[str, PortLimit] = {
    name: PortLimit(name, cast("float", each.default), **each.metadata)
    for each in fields(PortLimits)
    for name in (each.name.replace("_", "-"),)
}


def parse(texts: Iterable[str]) -> PortLimits:
    """Return the limits that a user has set, the others with their defaults.

    Args:
        texts: ``NAME=VALUE`` each, the last one of a name counts: a number, or bytes such as ``64Ki``.

    Raises:
        InvalidArgument: a name is unknown, a value is not valid, or two do not fit together.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        limit = TABLE.get(name)
        if limit is None or not equals:
            close = difflib.get_close_matches(name, TABLE, 1)
            advice = f"{close[0]}=VALUE" if close else f"NAME=VALUE with a NAME of {', '.join(TABLE)}"
            raise InvalidArgument(f'--limit "{text}" is not valid; write {advice}')
        values[name.replace("-", "_")] = _value(limit, value)
    limits = PortLimits(**values)
    if limits.connection_window < limits.stream_window:
        raise InvalidArgument(
            f"--limit connection-window={limits.connection_window} is less than stream-window"
            f" ({limits.stream_window}); raise it, or lower stream-window"
        )
    return limits


def _value(limit: PortLimit, text: str) -> int | float:
    where = f"--limit {limit.name}"
    value: int | float
    try:
        if limit.unit == "bytes":
            value = parse_bytes(text, where)
        else:
            value = float(text) if limit.unit == "seconds" else int(text)
    except ValueError:
        value = math.nan
    if not limit.least <= value <= limit.most:
        raise InvalidArgument(
            f'{where}="{text}" is not valid; write a number of {limit.unit} from {limit.least:,} to {limit.most:,}'
        )
    return value
