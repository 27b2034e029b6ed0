"""Finds messages in bodies without prefixes: one message, or a sequence of JSON objects."""

from __future__ import annotations

import re

from trunkline import errors
from trunkline.model.port_limits import DEFAULTS
from trunkline.rpc.asgi import framing

_OUTSIDE_STRINGS = re.compile(rb'["{}]')
_IN_STRINGS = re.compile(rb'["\\]')
#: What JSON calls white space.
_SPACE = b" \t\r\n"


class JsonObjects:
    """Takes the pieces of a body and returns the texts of the objects in them. What is in an object is not checked."""

    __slots__ = ("_depth", "_is_escaped", "_is_in_string", "_limit", "_pieces", "_rpc", "held")

    def __init__(self, rpc: str, encoding: str = "identity", limit: int = DEFAULTS.message) -> None:
        """Begin a body.

        Args:
            rpc: name of the call, for messages.
            encoding: how the body is compressed.
            limit: the most bytes of a message.

        Raises:
            Unimplemented: it is.
        """
        if framing.is_compression(rpc, encoding):
            raise errors.Unimplemented(f"{rpc} takes a stream, which cannot be compressed; send it as it is")
        self._rpc = rpc
        self._limit = limit
        self._pieces: list[bytes] = []
        #: Bytes of an object without its end.
        self.held = 0
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False  # the next byte belongs to a backslash

    def feed(self, piece: bytes) -> list[bytes | framing.Compressed]:
        """Return the texts of the objects that end in a piece.

        Raises:
            InvalidArgument: there is something else between objects.
            ResourceExhausted: an object is beyond the limit of messages.
        """
        objects: list[bytes | framing.Compressed] = []
        begin = position = 0
        while True:
            if self._is_escaped:
                if position == len(piece):
                    break
                position += 1
                self._is_escaped = False
            match = (_IN_STRINGS if self._is_in_string else _OUTSIDE_STRINGS).search(piece, position)
            if match is None:
                break
            if not self._depth:
                self._check_between(piece[position : match.start()], match[0])
                begin = match.start()
            position = match.end()
            if match[0] == b"\\":
                self._is_escaped = True
            elif match[0] == b'"':
                self._is_in_string = not self._is_in_string
            elif match[0] == b"{":
                self._depth += 1
            else:
                self._depth -= 1
                if not self._depth:
                    self._keep(piece[begin:position])
                    objects.append(b"".join(self._pieces))
                    self._pieces = []
                    self.held = 0
        if self._depth:
            self._keep(piece[begin:])
        else:
            self._check_between(piece[position:], b"{")
        return objects

    def end(self) -> list[bytes | framing.Compressed]:
        """Check that the body does not end within an object; no object ends only with it.

        Raises:
            InvalidArgument: it does.
        """
        if self._depth:
            raise errors.InvalidArgument(
                f"the request of {self._rpc} ends within a JSON object; send it whole"
            )
        return []

    def _keep(self, part: bytes) -> None:
        self.held += len(part)
        framing.check_request(self._rpc, self.held, self._limit)
        self._pieces.append(part)

    def _check_between(self, between: bytes, token: bytes) -> None:
        if between.strip(_SPACE) or token != b"{":
            raise errors.InvalidArgument(
                f"{self._rpc} takes a sequence of JSON objects; send one after the other, without anything else between"
            )


class WholeBody:
    """Takes the pieces of a body that is one message, or is empty."""

    __slots__ = ("_is_compressed", "_limit", "_pieces", "_rpc", "held")

    def __init__(self, rpc: str, encoding: str = "identity", limit: int = DEFAULTS.message) -> None:
        """Begin a body.

        Args:
            rpc: name of the call, for messages.
            encoding: how the body is compressed.
            limit: the most bytes of a message.

        Raises:
            Unimplemented: the encoding is not supported.
        """
        self._rpc = rpc
        self._limit = limit
        self._is_compressed = framing.is_compression(rpc, encoding)
        self._pieces: list[bytes] = []
        #: Bytes that have come.
        self.held = 0

    def feed(self, piece: bytes) -> list[bytes | framing.Compressed]:
        """Keep a piece; no message ends before the body.

        Raises:
            ResourceExhausted: the body is beyond the limit of messages.
        """
        self.held += len(piece)
        framing.check_request(self._rpc, self.held, self._limit)
        self._pieces.append(piece)
        return []

    def end(self) -> list[bytes | framing.Compressed]:
        """Return the body."""
        body = b"".join(self._pieces)
        return [framing.Compressed(self._rpc, body, self._limit) if self._is_compressed and body else body]
