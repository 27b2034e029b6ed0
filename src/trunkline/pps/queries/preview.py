"""Preview the datums of an input without a pipeline, from the heads of its branches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.errors import InvalidArgument
from trunkline.meta import branches, repos
from trunkline.model import names
from trunkline.model.spec import cron_inputs
from trunkline.pfs import files, resolve
from trunkline.pps import datum_lists, datum_rows, datums, item_reads, plan
from trunkline.pps.items import LeafIndex, leaf_key, leaves_of
from trunkline.pps.sorted_rows import SortedRows
from trunkline.pps.spec_cache import input_of
from trunkline.storage.sums import EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from trunkline.model.globs import Glob
    from trunkline.model.spec import PfsInput, PipelineSpec
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.items import ItemRef


class Preview:
    """The datums of an input, and the commits that they come from."""

    def __init__(self, versions: VersionedStore, spec: PipelineSpec, *, is_lenient: bool = False) -> None:
        """Look up the heads. Blocks.

        Args:
            versions: the store.
            spec: a complete and valid spec; only its input and salt count.
            is_lenient: branches without a commit have no files, nor have cron inputs whose repo, which comes with the
                pipeline, does not exist yet.

        Raises:
            NotFound: a repo or branch of the input does not exist.
            InvalidArgument: it has a cron input.
        """
        crons = cron_inputs(spec)
        if crons and not is_lenient:
            raise InvalidArgument(
                f'the datums of cron input "{crons[0].name}" cannot be listed before its pipeline exists; create the'
                " pipeline and list the datums of its jobs"
            )
        self._versions = versions
        self._spec = spec
        self._cron_repos = {cron.repo for cron in crons}
        self._heads = {
            key: self._head(leaf, is_lenient=is_lenient) for key, leaf in leaves_of(input_of(spec))
        }

    def _head(self, leaf: PfsInput, *, is_lenient: bool) -> files.Snapshot:
        name = names.CommitName(
            names.RepoName(leaf.project, leaf.repo, leaf.repo_type), leaf.commit, branch=leaf.branch
        )
        if is_lenient and not leaf.commit and self._versions.read(self._is_empty, name):
            return files.Snapshot(self._versions, name, None, self._versions.composed(EMPTY, ()))
        return files.snapshot(self._versions, name)

    def _is_empty(self, conn: sa.Connection, name: names.CommitName) -> bool:
        """Return whether a branch, whose repo exists unless it is that of a cron input, has no commit."""
        repo = name.repo
        if repo.name in self._cron_repos and not repos.find_repo(conn, repo.project, repo.name, repo.type):
            return True
        branch = branches.find(conn, resolve.repo(conn, repo).id, name.branch)
        return branch is None or branch.head_id is None

    @property
    def heads(self) -> dict[tuple[str, str], files.Snapshot]:
        """Return the commits of items by input and origin."""
        return {place: self._heads[key] for place, key, _ in LeafIndex(input_of(self._spec))}

    def rows(self) -> Iterator[datum_rows.DatumRow]:
        """Yield the datums by id. Blocks.

        Raises:
            InvalidArgument: the input makes more datums than a job may have.
        """
        datums.check_count(input_of(self._spec), lambda leaf: sum(1 for _ in self._items(leaf)))
        with SortedRows() as rows:
            for key, value in self._encoded():
                rows.add(key, value)
                datums.check_total(len(rows))
            for key, value in rows:
                yield datum_rows.decode(key, value)

    def unsorted_rows(self) -> Iterator[datum_rows.DatumRow]:
        """Yield the datums as they are made, the first ones at once. Blocks."""
        for key, value in self._encoded():
            yield datum_rows.decode(key, value)

    def _encoded(self) -> Iterator[tuple[bytes, bytes]]:
        spec = input_of(self._spec)
        shared = LeafIndex(spec).shared
        for datum in datum_lists.enumerate_datums(spec, self._items, self._spec.salt):
            yield plan.encoded(datum, shared)

    def _items(self, leaf: PfsInput, within: Glob | None = None) -> Iterator[ItemRef]:
        head = self._heads[leaf_key(leaf)]
        return item_reads.items(head.trees, head.tree, leaf, within)
