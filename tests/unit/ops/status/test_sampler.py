"""One sampler for all who look, on virtual time."""

import asyncio
import logging

import pytest

from sengol_api.observability.logging import request_id
from sengol_api.ops.status.sampler import NoPlaceError, Sampler
from sengol_api.resilience.testing import run_virtual


class Taken:
    """Samples with numbers, of which a test decides how long they take and whether they can be had."""

    def __init__(self, *, takes=0.0) -> None:
        self.count = 0
        self.takes = takes
        self.fails = False
        self.for_requests = set()

    async def __call__(self):
        self.count += 1
        self.for_requests.add(request_id.get())
        await asyncio.sleep(self.takes)
        if self.fails:
            raise ConnectionError("no sample")
        return self.count


def run(main, **options):
    async def begin():
        taken = Taken(takes=options.pop("takes", 0.0))
        return await main(Sampler(taken, every=2.0, **options), taken)

    return run_virtual(begin())


def test_nothing_is_sampled_before_somebody_looks_nor_after_the_last_one_left():
    async def main(sampler, taken):
        await asyncio.sleep(60)
        assert (taken.count, sampler.working) == (0, False)
        with sampler.watch("a") as viewer:
            await viewer.next(1)
            with sampler.watch("b"):
                await asyncio.sleep(10)
            assert sampler.working
        after = taken.count
        await asyncio.sleep(60)
        assert (taken.count, sampler.working, sampler.viewers) == (after, False, 0)

    run(main)


def test_however_many_look_there_is_one_sample_every_two_seconds_for_all():
    async def main(sampler, taken):
        async def look():
            with sampler.watch("a") as viewer:
                return [await viewer.next(10) for _ in range(5)]

        seen = await asyncio.gather(*(look() for _ in range(10)))
        assert seen == [[1, 2, 3, 4, 5]] * 10
        assert taken.count <= 6

    run(main)


def test_who_comes_while_others_look_is_told_at_once():
    async def main(sampler, taken):
        with sampler.watch("a") as first:
            await first.next(1)
            with sampler.watch("b") as second:
                assert await second.next(0.001) == 1

    run(main)


def test_who_comes_after_all_have_left_is_not_told_how_it_was_then():
    async def main(sampler, taken):
        with sampler.watch("a") as viewer:
            assert await viewer.next(1) == 1
        await asyncio.sleep(3600)
        with sampler.watch("a") as viewer:
            assert await viewer.next(1) == 2

    run(main)


def test_who_is_slow_gets_the_newest_and_none_of_those_between():
    async def main(sampler, taken):
        with sampler.watch("a") as viewer:
            assert await viewer.next(1) == 1
            await asyncio.sleep(601)
            assert await viewer.next(1) == taken.count > 290
            assert await viewer.next(0.5) is None

    run(main)


def test_a_sample_that_takes_long_delays_the_next_one_and_is_not_made_twice_at_once():
    async def main(sampler, taken):
        with sampler.watch("a") as viewer:
            for number in range(1, 4):
                assert await viewer.next(10) == number
            assert asyncio.get_running_loop().time() == pytest.approx(1009)

    run(main, takes=3.0)


def test_a_sampler_that_fails_is_logged_once_and_goes_on(caplog):
    async def main(sampler, taken):
        taken.fails = True
        with sampler.watch("a") as viewer:
            assert await viewer.next(30) is None
            taken.fails = False
            assert await viewer.next(30) == taken.count

    with caplog.at_level(logging.ERROR):
        run(main)
    assert [record.message for record in caplog.records] == ["the status of the host cannot be had"]


def test_places_are_bounded_in_all_and_for_one_household_and_free_again_afterwards():
    async def main(sampler, taken):
        with sampler.watch("a"), sampler.watch("a"):
            with pytest.raises(NoPlaceError), sampler.watch("a"):
                pass
            with sampler.watch("b"), pytest.raises(NoPlaceError), sampler.watch("c"):
                pass
            with sampler.watch("c"):
                pass
        with sampler.watch("a"):
            assert sampler.viewers == 1

    run(main, most=3, most_of_one=2)


def test_what_the_sampler_does_belongs_to_no_request():
    async def main(sampler, taken):
        token = request_id.set("of the first viewer")
        with sampler.watch("a") as viewer:
            await viewer.next(1)
        request_id.reset(token)
        assert "of the first viewer" not in taken.for_requests

    run(main)
