"""Files from URLs, and files to URLs, by the outbound client (docs/design/outbound.md). Blocks."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import quote

from trunkline import errors
from trunkline.model import limits, paths
from trunkline.pfs import reading
from trunkline.runtime import cancellation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from trunkline.pfs.files import Snapshot
    from trunkline.pfs.write_streams import Changes
    from trunkline.ports import Outbound
    from trunkline.storage.memory_budget import MemoryBudget

#: Objects that are fetched at the same time when the client does not say.
CONCURRENCY = 8
#: Bytes of an object up to which it is fetched ahead.
_AHEAD = 8 << 20
#: Bytes of objects that are fetched ahead of the one being written.
_WINDOW = 64 << 20


def add(changes: Changes, outbound: Outbound, path: str, tag: str, url: str) -> None:
    """Append what a URL has to a file.

    Args:
        changes: where the file is.
        outbound: fetches it.
        path: a valid path of a file.
        tag: as of ``Changes.add``.
        url: of the content.

    Raises:
        TrunklineError: as of ``ports.Outbound.read``; a part of the content may have been added.
    """
    with outbound.turn():
        _append(changes, outbound.read(url), path, tag)


def add_all(
    changes: Changes,
    outbound: Outbound,
    budget: MemoryBudget,
    path: str,
    tag: str,
    url: str,
    concurrency: int = 0,
) -> None:
    """Append the content of all objects below a URL to files below a path.

    Args:
        changes: where the files are.
        outbound: fetches them.
        budget: counts what is fetched ahead.
        path: a folder; what follows the URL in the name of an object is appended to it.
        tag: as of ``Changes.add``.
        url: of a prefix in an object store.
        concurrency: objects that are fetched at the same time; 0 for ``CONCURRENCY``.

    Raises:
        NotFound: nothing is there.
        TrunklineError: as of ``ports.Outbound.read``, or a name is not valid as a path.
    """
    threads = min(concurrency or CONCURRENCY, limits.URL_CONCURRENCY)
    empty = True
    with outbound.turn(), ThreadPoolExecutor(threads, "fetch") as executor:
        for target, pieces in _ahead(executor, outbound, budget, url, threads):
            empty = False
            _append(changes, pieces, paths.canonical(f"{path}/{target}"), tag)
    if empty:
        outbound.check(url)
        raise errors.NotFound("the URL has no objects below it; check the bucket and the prefix")


def _append(changes: Changes, pieces: Iterator[bytes], path: str, tag: str) -> None:
    changes.add(path, tag, b"")  # an empty file is a file
    for piece in pieces:
        cancellation.check()
        changes.add(path, tag, piece)


def _ahead(
    executor: ThreadPoolExecutor, outbound: Outbound, budget: MemoryBudget, url: str, threads: int
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield names and content of objects; small ones are fetched before their turn."""
    waiting: deque[tuple[str, str, int, Future[bytes] | None]] = deque()
    held = 0
    base = url.rstrip("/")
    names = outbound.objects(url)
    listed = False
    scope = cancellation.Scope()
    try:
        while True:
            while not listed and len(waiting) < 2 * threads and held < _WINDOW:
                item = next(names, None)
                if item is None:
                    listed = True
                    break
                name, size = item
                if name.endswith("/"):  # how some tools mark an empty folder
                    continue
                place = f"{base}/{quote(name)}"
                coming = scope.submit(executor, _whole, outbound, place) if size <= _AHEAD else None
                size = size if coming is not None else 0
                waiting.append((name, place, size, coming))
                budget.hold_messages(size)
                held += size
            if not waiting:
                return
            name, place, size, coming = waiting.popleft()
            try:
                yield name, outbound.read(place) if coming is None else iter((coming.result(),))
            finally:
                budget.release_messages(size)
                held -= size
    finally:
        scope.cancel()
        budget.release_messages(sum(size for _, _, size, _ in waiting))


def _whole(outbound: Outbound, url: str) -> bytes:
    return b"".join(outbound.read(url))


def send(
    snapshot: Snapshot, outbound: Outbound, path: str, url: str, lower: str = "", upper: str = ""
) -> int:
    """Write all files that a path or glob means to objects; each is named by the URL and its path.

    Args:
        snapshot: the commit's files.
        outbound: stores them.
        path: path or glob; of a folder, all files below it.
        url: of a prefix in an object store.
        lower: only paths from here on.
        upper: only paths before this one, when given.

    Returns:
        The bytes written.

    Raises:
        NotFound: there is no such file.
        TrunklineError: as of ``ports.Outbound.write``; some objects may have been written.
    """
    base = url.rstrip("/")
    outbound.check(base)
    size = 0
    with outbound.turn():
        for entry in reading.files_within(snapshot, path, lower, upper):
            cancellation.check()
            outbound.write(base + quote(entry.path), snapshot.read(entry), entry.size)
            size += entry.size
    return size
