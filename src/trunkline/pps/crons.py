"""Cron inputs: the repo of each gets a file at each tick of its schedule.

The name of the file is the time of the tick, so the files are the only state: the next tick is the first one after the
newest file, or after the start of the input. After a pause of the server or the pipeline the ticks that were missed are
made one after the other, each as a commit, as in Pachyderm. A crash between two ticks changes nothing.

The time of the newest file is remembered with the head of its branch, and read again when the head is another one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import branches, pipelines, repos
from trunkline.model import names
from trunkline.model.globs import compile_glob
from trunkline.model.schedules import moment_of, parse_moment, parse_schedule, text_of
from trunkline.model.spec import cron_inputs
from trunkline.model.states import PipelineState
from trunkline.pfs import files, write_streams
from trunkline.pps import pipelines as pipeline_ops
from trunkline.storage import file_globs

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from trunkline.model.schedules import Schedule
    from trunkline.model.spec import CronInput
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.spec_cache import Specs

log = logging.getLogger("trunkline.pps")

#: Seconds after which the clock is looked at again: it may be set, or the machine may have slept.
MOST_PAUSE = 30.0
#: Seconds until a tick that could not be written is tried again.
PAUSE_AFTER_ERROR = 10.0
#: How far back the newest file is looked for, in seconds, before all files are: a day, a month, a year.
_NEAR = (86_400.0, 31 * 86_400.0, 366 * 86_400.0)


class _Cron(Struct, frozen=True):
    """A cron input of a pipeline that makes ticks."""

    input: CronInput
    #: Row number of the head of its branch; None without one.
    head_id: int | None

    @property
    def repo(self) -> names.RepoName:
        return names.RepoName(self.input.project, self.input.repo, names.USER)

    @property
    def schedule(self) -> Schedule:
        return parse_schedule(self.input.spec, f"the schedule of {self.repo}")


class Crons:
    """Makes the ticks of all pipelines. One thread at a time uses it."""

    def __init__(self, versions: VersionedStore, specs: Specs) -> None:
        """Begin with nothing remembered.

        Args:
            versions: the store.
            specs: the parsed specifications.
        """
        self._versions = versions
        self._specs = specs
        #: Head and time of the newest tick, by repo.
        self._newest: dict[names.RepoName, tuple[int | None, float | None]] = {}

    def step(self) -> float | None:
        """Make the next tick of each cron input where it is due. Blocks.

        Returns:
            In how many seconds to do it again; None when no pipeline has a cron input.
        """
        pauses: list[float] = []
        seen: set[names.RepoName] = set()
        for cron in self._versions.read(self._look):
            seen.add(cron.repo)
            try:
                pauses.append(self._step_of(cron))
            except errors.TrunklineError as error:
                log.error("the tick of %s cannot be made: %s; next try in 10 s", cron.repo, error.message)
                pauses.append(PAUSE_AFTER_ERROR)
        for repo in self._newest.keys() - seen:
            del self._newest[repo]
        return min((*pauses, MOST_PAUSE)) if pauses else None

    def _step_of(self, cron: _Cron) -> float:
        """Make a tick if one is due; return the seconds until the next one."""
        now = self._versions.clock.now()
        due = cron.schedule.after(self._newest_tick(cron))
        if due is None:
            return MOST_PAUSE
        if due > now:
            return due - now
        tick(self._versions, cron.input, due)
        self._newest[cron.repo] = cron.head_id, due  # the head stays when it is an open commit
        return 0.0

    def _look(self, conn: sa.Connection) -> list[_Cron]:
        crons = []
        for row in pipelines.list_all(conn, []):
            if row.stopped or row.state is PipelineState.FAILURE:
                continue
            for input in cron_inputs(self._specs.of(conn, row.id, row.version)):
                repo = repos.find_repo(conn, input.project, input.repo, names.USER)
                branch = branches.find(conn, repo.id, _BRANCH) if repo is not None else None
                crons.append(_Cron(input, branch.head_id if branch is not None else None))
        return crons

    def _newest_tick(self, cron: _Cron) -> float:
        """Return the time after which the next tick is."""
        head, newest = self._newest.get(cron.repo, (None, None))
        if head is None or head != cron.head_id:
            newest = self._read_newest(cron, newest)
            self._newest[cron.repo] = cron.head_id, newest
        return newest if newest is not None else parse_moment(cron.input.start, f"the start of {cron.repo}")

    def _read_newest(self, cron: _Cron, before: float | None) -> float | None:
        """Return the time of the newest file; None when there is none.

        Args:
            cron: the input.
            before: what it was before; None when unknown.
        """
        if cron.head_id is None:
            return None
        head = files.snapshot(self._versions, names.CommitName(cron.repo, branch=_BRANCH))
        now = self._versions.clock.now()
        since = [now - seconds for seconds in _NEAR]
        if before is not None:
            since.insert(0, before)
        for lower in (*(f"/{text_of(moment)}" for moment in since), ""):
            newest = max(_moments(head, lower), default=None)
            if newest is not None:
                return newest
        return None


#: The branch that ticks are written to.
_BRANCH = "master"


def _moments(head: files.Snapshot, lower: str) -> Iterator[float]:
    for entry in file_globs.glob(head.trees, head.tree, compile_glob("/*"), lower):
        moment = moment_of(entry.path[1:])
        if moment is not None:
            yield moment


def tick(versions: VersionedStore, cron: CronInput, moment: float) -> None:
    """Write the file of a tick, as a commit of its own. Blocks.

    Args:
        versions: the store.
        cron: the input.
        moment: time of the tick, in seconds since the epoch.

    Raises:
        NotFound: the repo of the input was deleted.
    """
    repo = names.RepoName(cron.project, cron.repo, names.USER)
    stream = write_streams.CommitStream(versions, names.CommitName(repo, branch=_BRANCH))
    try:
        if cron.overwrite:
            stream.delete("/", "")
        stream.add(f"/{text_of(moment)}", "", b"")
        stream.finish()
    except BaseException:
        stream.abort()
        raise


def run_now(versions: VersionedStore, specs: Specs, project: str, name: str) -> None:
    """Make a tick of each cron input of a pipeline now. Blocks.

    Args:
        versions: the store.
        specs: the parsed specifications.
        project: the pipeline's project.
        name: name of the pipeline.

    Raises:
        NotFound: there is no such pipeline.
        FailedPrecondition: it has no cron input.
    """
    row = versions.read(pipeline_ops.find, project, name)
    crons = cron_inputs(specs.get(row.id, row.version))
    if not crons:
        raise errors.FailedPrecondition(
            f'pipeline doesn\'t have a cron input: "{row}" reads only repos that others write; to run it again use'
            " rerun pipeline"
        )
    moment = versions.clock.now()
    for cron in crons:
        tick(versions, cron, moment)
