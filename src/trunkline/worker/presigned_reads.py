"""Reads chunks from the object store by presigned URLs, so that their bytes do not pass through the server.

Neighbouring chunks of a pack are one ranged GET. Every chunk is compared with its id, as the server does it.
Transient errors are retried; anything else (the store cannot be reached from here, or refuses) is
``StoreUnreachable``, and the caller asks the server for the bytes instead.

Imported with the first file that is read this way: the libraries cost a worker that never does 25 ms.
"""

from __future__ import annotations

import http.client
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from trunkline.formats.pack_format import GAP_BYTES, decode
from trunkline.worker.circuit_breaker import StoreUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.rpc.gen import worker_api_pb2 as pb
    from trunkline.worker.store_connections import Connections

#: Times that a range is asked for; the server is the better address after that.
TRIES = 4
PAUSE = 0.25  # seconds before the second try; doubled for each after that
#: Statuses that pass: too many requests, and what the store says of itself.
PASSING = (429, 500, 502, 503, 504)


class Run(NamedTuple):
    """Chunks of one pack that are read with one request."""

    url: str
    places: list[pb.ChunkPlace]


def read(connections: Connections, places: Sequence[pb.ChunkPlace], urls: Sequence[str]) -> Iterator[bytes]:
    """Yield the bytes of each chunk, in order.

    Args:
        connections: kept ones.
        places: the chunks.
        urls: of the packs, which places count.

    Raises:
        StoreUnreachable: some could not be read; those before were.
    """
    for run in runs(places, urls):
        done = 0
        for attempt in range(TRIES):
            if attempt:
                time.sleep(PAUSE * 2 ** (attempt - 1))
            try:
                for data in _read_once(connections, run.url, run.places[done:]):
                    done += 1
                    yield data
                break
            except (ConnectionRefusedError, TimeoutError) as error:
                connections.drop(run.url)
                raise StoreUnreachable(f"{host_of(run.url)} does not answer ({said(error)})") from error
            except (OSError, http.client.HTTPException) as error:
                connections.drop(run.url)
                if attempt + 1 == TRIES:
                    raise StoreUnreachable(f"{host_of(run.url)} breaks off ({said(error)})") from error


def runs(places: Sequence[pb.ChunkPlace], urls: Sequence[str]) -> Iterator[Run]:
    """Yield the places, neighbours together."""
    run: list[pb.ChunkPlace] = []
    for place in places:
        if run:
            end = run[-1].offset + run[-1].stored
            if place.pack != run[-1].pack or not end <= place.offset <= end + GAP_BYTES:
                yield Run(urls[run[0].pack], run)
                run = []
        run.append(place)
    if run:
        yield Run(urls[run[0].pack], run)


def _read_once(connections: Connections, url: str, places: Sequence[pb.ChunkPlace]) -> Iterator[bytes]:
    start, last = places[0].offset, places[-1]
    end = last.offset + last.stored
    with connections.request("GET", url, {"Range": f"bytes={start}-{end - 1}"}) as answer:
        try:
            if answer.status in PASSING:
                raise http.client.HTTPException(f"{answer.status} {answer.reason}")
            if answer.status != 206:
                raise StoreUnreachable(f"{host_of(url)} refuses ({answer.status} {answer.reason})")
            position = start
            for place in places:
                if place.offset > position:
                    _exactly(answer, place.offset - position)
                yield _decode(place, _exactly(answer, place.stored))
                position = place.offset + place.stored
            answer.read()  # ends the answer, so that the connection can be used again
        except BaseException:
            connections.drop(url)
            raise


def _exactly(answer: http.client.HTTPResponse, size: int) -> bytes:
    data = answer.read(size)
    if len(data) != size:
        raise http.client.IncompleteRead(data, size - len(data))
    return data


def _decode(place: pb.ChunkPlace, stored: bytes) -> bytes:
    data = decode(place.id, place.codec, place.length, stored)
    if data is None:
        # Damaged on the way or in the store: the server finds out which.
        raise StoreUnreachable(f"chunk {place.id.hex()} does not match its id")
    return data


def host_of(url: str) -> str:
    """Return the host of a URL; the rest of it is a secret."""
    return urlsplit(url).netloc


def said(error: Exception) -> str:
    """Return what an error says of itself."""
    return str(error) or type(error).__name__
