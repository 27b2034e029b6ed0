"""Reads chunks from the object store by presigned URLs, so that their bytes do not pass through the server.

Adjacent chunks of a pack are read by one ranged GET. Every chunk is verified against its id, as in the server.
Transient errors are retried; any other error (the store cannot be reached, or refuses) is ``StoreUnreachable``, and
the caller requests the bytes from the server instead.

Imported with the first file that is read this way: importing the libraries takes 25 ms.
"""

from __future__ import annotations

import http.client
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from trunkline.formats.codecs import decode
from trunkline.formats.pack_format import GAP_BYTES
from trunkline.worker.circuit_breaker import StoreUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.rpc.gen import worker_api_pb2 as pb
    from trunkline.worker.store_connections import Connections

#: Number of tries for a range; after that the server is used.
TRIES = 4
PAUSE = 0.25  # seconds before the second try; doubled for each after that
#: Transient statuses: too many requests, and errors of the store itself.
PASSING = (429, 500, 502, 503, 504)


class Run(NamedTuple):
    """Chunks of one pack that are read with one request."""

    url: str
    places: list[pb.ChunkPlace]


def read(connections: Connections, places: Sequence[pb.ChunkPlace], urls: Sequence[str]) -> Iterator[bytes]:
    """Yield the bytes of each chunk, in order.

    Args:
        connections: connections to reuse.
        places: the chunks.
        urls: URLs of the packs; places refer to them by index.

    Raises:
        StoreUnreachable: a chunk could not be read; those before it were yielded.
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
                raise StoreUnreachable(f"{host_of(run.url)} does not answer ({error_text(error)})") from error
            except (OSError, http.client.HTTPException) as error:
                connections.drop(run.url)
                if attempt + 1 == TRIES:
                    raise StoreUnreachable(f"{host_of(run.url)} breaks off ({error_text(error)})") from error


def runs(places: Sequence[pb.ChunkPlace], urls: Sequence[str]) -> Iterator[Run]:
    """Yield the places, grouped into runs of adjacent chunks."""
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
        # Damaged in transit or in the store: the server can tell which.
        raise StoreUnreachable(f"chunk {place.id.hex()} does not match its id")
    return data


def host_of(url: str) -> str:
    """Return the host of a URL; the full URL is a secret."""
    return urlsplit(url).netloc


def error_text(error: Exception) -> str:
    """Return the message of an error, or its class when it has none."""
    return str(error) or type(error).__name__
