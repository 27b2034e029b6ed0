"""Finds out for whom a call is made, by the token that came with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.pps import pipeline_tokens

if TYPE_CHECKING:
    from trunkline.pfs.repository import VersionedStore
    from trunkline.rpc.call import Call


class TokenCallers:
    """Implements ``rpc.asgi.calls.Identify``. Belongs to the event loop's thread."""

    def __init__(self, versions: VersionedStore) -> None:
        self._tokens = pipeline_tokens.PipelineTokens(versions)

    async def __call__(self, call: Call, token: str) -> None:
        """Set the caller of a call; see ``rpc.asgi.calls.Identify``. A token of another kind than ours means nobody."""
        caller = await self._tokens.verify(token)
        if caller is not None:
            pipeline_tokens.check_call(caller, call.rpc)
            call.caller = caller
