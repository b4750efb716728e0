"""Values that a cache hands out, and those that are put in by hand."""

import asyncio
from dataclasses import dataclass

import pytest

from sengol_api.resilience.cache.keys import cache_key
from sengol_api.resilience.cache.states import NotCached
from sengol_api.resilience.errors import OptionsError
from sengol_api.resilience.testing import ManualClock, Script
from support.toolkit.caches import listen, make


def test_what_the_receiver_does_to_a_value_the_next_one_does_not_see():
    async def main():
        pipeline, _ = make()
        upstream = Script(lambda: {"hits": [1, 2]})
        first = await pipeline.call(upstream, "a")
        first["hits"].append(3)
        second = await pipeline.call(upstream, "a")
        assert second == {"hits": [1, 2]}
        second.clear()
        assert pipeline.call_sync(upstream.sync, "a") == {"hits": [1, 2]}
        assert len(upstream.calls) == 1

    asyncio.run(main())


def test_what_is_put_and_got_is_copied_too():
    _, cache = make()
    value = [1]
    cache.put("a", value)
    value.append(2)
    got = cache.get("a")
    got.append(3)
    assert cache.get("a") == [1]


def test_an_immutable_value_is_handed_out_itself():
    pipeline, cache = make()
    value = ("a" * 1000, (1, 2.5, None))
    pipeline.call_sync(Script(value).sync, "a")
    assert cache.get("a") is value


@dataclass
class Unreadable:
    """Can be pickled, but not read again."""

    n: int = 0

    def __reduce__(self):
        return (_raise, ())


def _raise():
    raise ValueError("cannot be read")


def test_a_value_that_cannot_be_read_again_is_as_good_as_not_kept():
    async def main():
        pipeline, cache = make()
        heard = listen(pipeline, NotCached)
        upstream = Script(Unreadable(1), Unreadable(2))
        assert (await pipeline.call(upstream, "a")).n == 1
        assert (await pipeline.call(upstream, "a")).n == 2
        assert [each.reason for each in heard] == ["copy"]
        assert cache.get("a", "nothing") == "nothing"
        assert cache.snapshot().entries == 0
        assert pipeline.call_sync(upstream.sync, "a").n == 2
        assert pipeline.call_sync(upstream.sync, "a").n == 2

    asyncio.run(main())


def test_a_kept_none_is_not_nothing():
    pipeline, cache = make()
    upstream = Script(None, "more")
    assert pipeline.call_sync(upstream.sync, "a") is None
    assert pipeline.call_sync(upstream.sync, "a") is None
    assert cache.get("a", "nothing") is None
    assert cache.get("b", "nothing") == "nothing"


def test_get_and_put_stand_alone():
    clock = ManualClock()
    _, cache = make(clock, ttl=100.0)
    key = cache_key("search", "query", {"area": "x"})
    assert cache.get(key) is None
    cache.put(key, "found", ttl=5.0)
    assert cache.get(key) == "found"
    clock.advance(5.0)
    assert cache.get(key) is None
    cache.put(key, "usual")
    clock.advance(99.0)
    assert cache.get(key) == "usual"
    cache.put(key, "not at all", ttl=0)
    assert cache.get(key) is None
    snapshot = cache.snapshot()
    assert (snapshot.hits, snapshot.misses) == (2, 3)


@pytest.mark.parametrize("ttl", [-1, float("nan"), float("inf"), "1", True])
def test_a_time_to_live_that_is_none_is_refused(ttl):
    _, cache = make()
    with pytest.raises(OptionsError, match="put: ttl="):
        cache.put("a", 1, ttl=ttl)


def test_what_was_invalidated_is_gone():
    _, cache = make()
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.invalidate("a")
    assert not cache.invalidate("a")
    assert (cache.get("a"), cache.get("b")) == (None, 2)
    cache.clear()
    assert cache.snapshot().entries == 0
    assert cache.snapshot().bytes == 0
    assert cache.get("b") is None
