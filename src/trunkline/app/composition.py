"""Connects the parts of a server: what ``serve`` starts and stops, and what tests use of it.

Nothing here starts a loop, listens or reads a setting, so that a test can have the same parts without a server.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.drivers.programs.processes import ProgramProcesses
from trunkline.model.spec import DEFAULT_IMAGE
from trunkline.pfs.chunk_index import DatabaseChunkIndex
from trunkline.pfs.event_hub import EventHub
from trunkline.pfs.repository import VersionedStore
from trunkline.pps.admission import Admission
from trunkline.pps.jobs import JobKeeper
from trunkline.pps.meta_files import MetaFiles
from trunkline.pps.spec_cache import Specs
from trunkline.pps.worker_tokens import WorkerTokens
from trunkline.pps.workers.standing import Renewals
from trunkline.pps.workers.waiting import WaitingWorkers
from trunkline.rpc.admin import (
    AdminServicer,
    EnterpriseServicer,
    IdentityServicer,
    LicenseServicer,
    VersionServicer,
)
from trunkline.rpc.console import ConsoleServicer
from trunkline.rpc.control import ControlServicer
from trunkline.rpc.explain import ExplainServicer
from trunkline.rpc.machines import MachinesServicer
from trunkline.rpc.metadata import MetadataServicer
from trunkline.rpc.pfs import PfsServicer
from trunkline.rpc.pps import PpsServicer
from trunkline.rpc.store_api import StoreServicer
from trunkline.rpc.transactions import TransactionServicer
from trunkline.rpc.worker_api import WorkerServicer
from trunkline.storage.files import file_trees
from trunkline.storage.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from trunkline.app.drivers import FleetDrivers
    from trunkline.drivers.fleets.images import ImageEnvironments
    from trunkline.meta.database import Database
    from trunkline.meta.wakeups import Wakeups
    from trunkline.model.spec import PipelineSpec
    from trunkline.ports import Clock, ObjectStore, Outbound
    from trunkline.pps.controller import Controller
    from trunkline.pps.egress import Egresses
    from trunkline.pps.secrets import SecretStore
    from trunkline.rpc.console_server import ServerFacts
    from trunkline.telemetry.recent import RecentRecords


class Core(Struct, frozen=True):
    """The versioned store with the rules of pipelines in it."""

    versions: VersionedStore
    specs: Specs
    index: DatabaseChunkIndex
    events: EventHub
    waiting: WaitingWorkers
    renewals: Renewals


def core(
    db: Database,
    objects: ObjectStore,
    wakeups: Wakeups,
    clock: Clock,
    scratch: str | None = None,
    *,
    verify_packs: bool = True,
) -> Core:
    """Return the store on a database and an object store. Closing its ``versions.chunks`` ends its threads.

    Args:
        db: an open database with the current schema.
        objects: where packs are.
        wakeups: wakes who waits for a change; ``db`` announces the changes to it.
        clock: of the server.
        scratch: folder of temporary files; None for the system's.
        verify_packs: decode each pack and compare it with the ids of its chunks before it is stored.
    """
    index = DatabaseChunkIndex(db, clock.now)
    chunks = ChunkStore(objects, index, verify=verify_packs)
    specs = Specs(db)
    versions = VersionedStore(
        db, chunks, file_trees(chunks), wakeups, clock, hooks=JobKeeper(), scratch=scratch
    )
    versions.derived = MetaFiles(versions, specs)
    return Core(versions, specs, index, EventHub(db), WaitingWorkers(), Renewals())


def servicers(
    core: Core,
    controller: Controller,
    executor: Executor,
    fleet: FleetDrivers,
    images: ImageEnvironments,
    cluster_id: str,
    outbound: Outbound,
    secrets: SecretStore,
    egresses: Egresses,
    records: RecentRecords,
    facts: ServerFacts,
) -> dict[str, object]:
    """Return what answers calls, by full service name; all services but those for debugging and logs.

    Args:
        core: the store.
        controller: its autoscaler checks whether the fleet can run a pipeline's workers.
        executor: does the blocking work of calls.
        fleet: its machines are listed, its secrets are managed, and its workers are identified.
        images: environments for image names.
        cluster_id: identity of this installation.
        outbound: connects to what clients name by URLs.
        secrets: of commands and of egresses.
        egresses: sends files to object stores and databases.
        records: the newest log records of the server.
        facts: how the server is set up.
    """
    versions, specs = core.versions, core.specs
    image_notice = functools.partial(_image_notice, images, fleet.runs_image)
    admission = Admission(
        controller.autoscaler.check, secrets, image_notice, fleet.fleet.unsupported, egresses.check
    )
    identity = fleet.identity or WorkerTokens(versions)
    return {
        "pfs_v2.API": PfsServicer(versions, executor, outbound, egresses),
        "pps_v2.API": PpsServicer(
            versions, specs, executor, admission, secrets, ProgramProcesses(outbound), records
        ),
        "versionpb_v2.API": VersionServicer(),
        "admin_v2.API": AdminServicer(cluster_id, versions),
        "enterprise_v2.API": EnterpriseServicer(),
        "license_v2.API": LicenseServicer(),
        "metadata.API": MetadataServicer(versions),
        "trunkline.worker.v1.Worker": WorkerServicer(
            versions,
            specs,
            executor,
            identity,
            core.waiting,
            core.renewals,
            secrets if fleet.secrets is None else None,
        ),
        "trunkline.store.v1.Store": StoreServicer(versions, executor),
        "trunkline.control.v1.Control": ControlServicer(
            versions, specs, images, fleet.fleet.machines, executor, core.events, admission
        ),
        "trunkline.console.v1.Console": ConsoleServicer(
            versions, specs, fleet.fleet.machines, executor, core.events, facts
        ),
        "trunkline.explain.v1.Explain": ExplainServicer(versions, specs, executor),
        "trunkline.machines.v1.Machines": MachinesServicer(versions, executor, fleet.joined),
        "identity_v2.API": IdentityServicer(),
        "transaction_v2.API": TransactionServicer(versions, executor, admission),
    }


def _image_notice(
    images: ImageEnvironments, runs_image: Callable[[PipelineSpec], bool], spec: PipelineSpec
) -> str:
    """Return a notice for a named image that is not used; empty when it is used, or only the default is named.

    Args:
        images: environments for image names.
        runs_image: whether commands of a pipeline run in a container of its image.
        spec: of the pipeline.
    """
    image = spec.transform.image if spec.transform is not None else ""
    if image in ("", DEFAULT_IMAGE) or runs_image(spec) or images.resolve(image) is not None:
        return ""
    return (
        f'image "{image}" is not used: commands run as processes with this machine\'s own programs; run'
        f' "trunkline create image {image} --from FOLDER" for a Python environment of that name, or serve with'
        " --fleet auto to run images in containers"
    )
