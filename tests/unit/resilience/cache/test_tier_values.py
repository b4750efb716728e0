"""Values on their way to a second tier and back."""

import asyncio
import pickle

import pytest

from sengol_api.resilience.cache.envelope import Enclosed, from_json, seal, to_json, unseal
from sengol_api.resilience.cache.tier import InMemoryTier
from sengol_api.resilience.testing import Script, run_virtual
from support.toolkit.tiers import Scripted, replica


def test_what_its_receiver_does_to_a_value_the_tier_does_not_see():
    async def main(loop):
        tier = InMemoryTier(loop)
        one, _, _ = replica(loop, tier)
        value = await one.call(Script([1]), "a")
        value.append(2)
        await asyncio.sleep(1.0)
        assert await replica(loop, tier)[0].call(Script("never"), "a") == [1]

    run_virtual(main)


@pytest.mark.parametrize(
    "value", [(1, 2), {1: "a"}, {"a": (1,)}, {"a": {1}}, [b"x"], float("nan"), [float("inf")], object(), True + 0j]
)
def test_a_value_that_json_would_change_stays_local(value):
    with pytest.raises(TypeError):
        to_json(value)

    async def main(loop):
        tier = InMemoryTier(loop)
        pipeline, cache, _ = replica(loop, tier)
        await pipeline.call(Script(value), "a")
        await asyncio.sleep(1.0)
        assert tier.values == {}
        assert cache.snapshot().tier_errors == 0
        assert cache.snapshot().entries == 1

    run_virtual(main)


def test_nothing_from_the_tier_is_unpickled():
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("it went off",))

    async def main(loop):
        for data in (pickle.dumps(Bomb()), seal("x", Enclosed(pickle.dumps(Bomb()), 0.0, 1.0, 0.0))):
            pipeline, cache, events = replica(loop, Scripted(data))
            assert await pipeline.call(Script("answer"), "a") == "answer"
            assert cache.snapshot().tier_errors == len(events) == 1

    run_virtual(main)


def test_values_may_be_encoded_in_a_way_of_ones_own():
    async def main(loop):
        tier = InMemoryTier(loop)
        options = {"encode": lambda value: repr(value).encode(), "decode": lambda data: ("decoded", data.decode())}
        await replica(loop, tier, **options)[0].call(Script((1, 2)), "a")
        await asyncio.sleep(1.0)
        two, _, _ = replica(loop, tier, **options)
        assert await two.call(Script("never"), "a") == ("decoded", "(1, 2)")
        three, cache, events = replica(loop, tier, encode=options["encode"], decode=lambda data: 1 / 0)
        assert await three.call(Script("made"), "a") == "made"
        assert [(each.operation, type(each.error)) for each in events] == [("get", ZeroDivisionError)]
        assert cache.snapshot().tier_errors == 1

    run_virtual(main)


def test_an_entry_is_read_only_under_its_own_name_and_undamaged():
    data = seal("name", Enclosed(b"body\nwith lines", 1.5, 10.0, 0.25))
    assert unseal("name", data) == Enclosed(b"body\nwith lines", 1.5, 10.0, 0.25)
    with pytest.raises(ValueError, match="another key"):
        unseal("other", data)
    for place in range(len(data)):
        damaged = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(ValueError, match=r"version|damaged"):
            unseal("name", damaged)
        with pytest.raises(ValueError, match=r"version|damaged"):
            unseal("name", data[:place])


@pytest.mark.parametrize(
    "head", [b"[]", b"{}", b"1", b'["name",1,2]', b'["name",1,2,-1]', b'["name",1e999,2,3]', b'["name","1",2,3]']
)
def test_an_entry_that_is_whole_but_makes_no_sense_is_refused(head):
    import hashlib

    rest = head + b"\nbody"
    with pytest.raises(ValueError, match="another key"):
        unseal("name", b"\n".join((b"sengol-cache/1", hashlib.sha256(rest).hexdigest().encode(), rest)))


def test_json_gives_back_what_it_was_given():
    value = {"a": [1, 1.0, True, None, "ä\ud800", {}]}
    assert from_json(to_json(value)) == value
