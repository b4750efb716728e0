"""``ResultCache``: in memory."""

import pytest

from sengol_api.adapters.memory_cache import MemoryCache


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock) -> MemoryCache:
    return MemoryCache(max_entries=3, ttl=10, clock=clock)


def test_what_was_put_is_got(cache):
    value = object()
    cache.put("a", value)
    assert cache.get("a") is value
    assert cache.get("b") is None


def test_a_result_ends_with_its_time_even_when_it_was_read(cache, clock):
    cache.put("a", 1)
    clock.now += 9.9
    assert cache.get("a") == 1
    clock.now += 0.1
    assert cache.get("a") is None
    assert len(cache) == 0


def test_putting_again_begins_its_time_anew(cache, clock):
    cache.put("a", 1)
    clock.now += 9
    cache.put("a", 2)
    clock.now += 9
    assert cache.get("a") == 2


def test_the_least_recently_used_goes_first(cache):
    for key in "abc":
        cache.put(key, key)
    cache.get("a")
    cache.put("d", "d")
    assert [cache.get(key) for key in "abcd"] == ["a", None, "c", "d"]
    assert len(cache) == 3
