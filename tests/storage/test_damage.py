"""Lost and damaged packs: named by the error, and repaired by storing the same bytes again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from storage_world import World, noise

from trunkline.errors import DataLoss

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trunkline.storage.chunks import ChunkId

PIECES = [noise(3000, seed) for seed in range(20)]


@pytest.fixture(params=[0, 1 << 20], ids=["object", "in-index"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(inline_bytes=request.param, cache_bytes=0)  # what is written is read from its pack
    yield world
    world.store.close()


def stored(world: World) -> list[ChunkId]:
    return world.write(lambda writer: writer.add_many(PIECES))


def change(world: World, how: Callable[[bytes], bytes]) -> str:
    """Replace the only pack; return its name."""
    [name] = {place.pack for place in world.index.places.values()}
    body = how(world.objects.get(name))
    world.objects.delete(name)
    world.objects.put(name, [body])
    return name


def flip(world: World, id: ChunkId) -> None:
    """Change a byte of a chunk, wherever its pack is kept."""
    place = world.index.places[id]
    if place.inline is not None:
        world.index.damage(id)
        return

    def flipped(body: bytes) -> bytes:
        at = place.offset + place.stored // 2
        return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]

    change(world, flipped)


def test_a_lost_pack_is_data_loss_that_names_the_object() -> None:
    world = World()
    ids = stored(world)
    [name] = {place.pack for place in world.index.places.values()}
    world.objects.delete(name)

    with pytest.raises(DataLoss, match=name):
        world.store.read(ids[0])
    with pytest.raises(DataLoss, match=name):
        list(world.store.read_many(ids))
    world.store.close()


def test_a_pack_that_is_too_short_is_data_loss_that_names_the_object() -> None:
    world = World()
    ids = stored(world)
    name = change(world, lambda body: body[: len(body) // 2])

    with pytest.raises(DataLoss, match=name):
        list(world.store.read_many(ids))
    world.store.close()


def test_a_chunk_of_a_damaged_pack_counts_as_missing_once_a_read_has_found_the_damage(world: World) -> None:
    ids = stored(world)
    flip(world, ids[7])
    assert world.store.lengths(ids).keys() == set(ids)

    with pytest.raises(DataLoss):
        world.store.read(ids[7])

    assert world.store.lengths(ids) == {}
    assert world.store.damaged_among(ids) == frozenset(ids)


def test_storing_the_same_bytes_again_repairs_every_chunk_of_a_damaged_pack(world: World) -> None:
    ids = stored(world)
    flip(world, ids[7])
    flip(world, ids[12])
    with pytest.raises(DataLoss):
        list(world.store.read_many(ids))

    again = world.write(lambda writer: writer.add_many(PIECES))

    assert again == ids
    assert list(world.store.read_many(ids)) == PIECES
    assert world.store.lengths(ids) == dict.fromkeys(ids, 3000)
    assert world.store.damaged_among(ids) == frozenset()


def test_storing_the_same_bytes_again_repairs_a_lost_pack() -> None:
    world = World()
    ids = stored(world)
    world.objects.delete(world.index.places[ids[0]].pack)
    with pytest.raises(DataLoss):
        world.store.read(ids[0])

    world.write(lambda writer: writer.add_many(PIECES))

    assert list(world.store.read_many(ids)) == PIECES
    world.store.close()


def test_a_pack_that_was_restored_is_read_again() -> None:
    world = World()
    ids = stored(world)
    name = world.index.places[ids[0]].pack
    body = world.objects.get(name)
    world.objects.delete(name)
    with pytest.raises(DataLoss):
        world.store.read(ids[0])

    world.objects.put(name, [body])

    assert list(world.store.read_many(ids)) == PIECES
    world.store.close()
