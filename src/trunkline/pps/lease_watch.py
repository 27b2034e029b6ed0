"""The loop that notices workers which stopped renewing: frozen ones, and those whose machine or network is gone."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from trunkline.meta import claims as claim_rows
from trunkline.model.leases import LeaseJudge
from trunkline.pps.workers import claims, standing
from trunkline.runtime import failpoints

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.spec_cache import Specs
    from trunkline.pps.workers.standing import Renewals

log = logging.getLogger("trunkline.pps")

#: Seconds between looks at the leases.
_TICK = 1.0


async def watch(versions: VersionedStore, specs: Specs, renewals: Renewals) -> None:
    """Give back the runs of workers that stopped renewing, and replace those of spouts, until cancelled.

    Args:
        versions: the store.
        specs: parsed specifications.
        renewals: of the workers of spouts.
    """
    monotonic = versions.clock.monotonic
    runs, spouts, looked_at = LeaseJudge(monotonic), LeaseJudge(monotonic), monotonic()
    while True:
        failpoints.reach("controller.leases")
        if monotonic() - looked_at > claims.LEASE / 2:
            # This server itself was frozen or too busy: renewals may be waiting to be read.
            runs, spouts = LeaseJudge(monotonic), LeaseJudge(monotonic)
        looked_at = monotonic()
        held = {claim.id: claim for claim in await versions.db.read(claim_rows.held_claims)}
        for claim_id in runs.expired([claims.lease_of(claim) for claim in held.values()]):
            await _try(versions, claims.free_expired, held[claim_id])
        running = await versions.db.read(standing.spout_workers, specs)
        for worker_id in spouts.expired(renewals.leases(running)):
            await _try(versions, standing.lose_silent, worker_id)
        await asyncio.sleep(_TICK)


async def _try(versions: VersionedStore, change: Callable[..., None], subject: Any) -> None:
    """Make a change; a failure is logged, and the next look tries again."""
    try:
        await versions.write_soon(change, subject)
    except Exception:
        log.exception(
            "the worker that does not renew %s cannot be replaced; next try in %g s", subject, _TICK
        )
