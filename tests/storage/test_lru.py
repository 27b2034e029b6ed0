"""The cache of values by bytes: bounded, and what was used last stays."""

from __future__ import annotations

from trunkline.storage.lru import ByteCache


def test_a_cache_holds_no_more_than_its_limit() -> None:
    cache: ByteCache[int, str] = ByteCache(100)

    for number in range(50):
        cache.put(number, str(number), 10)

    assert [number for number in range(50) if cache.get(number)] == list(range(40, 50))


def test_a_value_that_is_read_again_and_again_stays() -> None:
    cache: ByteCache[int, str] = ByteCache(100)

    for number in range(50):
        cache.put(number, str(number), 10)
        cache.get(0)

    assert cache.get(0) == "0"
    assert cache.get(1) is None
    assert cache.get(49) == "49"


def test_a_large_value_evicts_nothing() -> None:
    cache: ByteCache[int, str] = ByteCache(100)
    cache.put(1, "small", 10)

    cache.put(2, "large", 26)

    assert cache.get(1) == "small"
    assert cache.get(2) is None


def test_a_cache_without_room_holds_nothing() -> None:
    cache: ByteCache[int, str] = ByteCache(0)

    cache.put(1, "value", 1)
    cache.put(2, "", 0)

    assert cache.get(1) is None
