"""Background work under its supervisor, on virtual time."""

import asyncio
import logging
from random import Random

import pytest

from sengol_api.observability.logging import request_id
from sengol_api.ops.background import LONGEST_PAUSE, Background, WorkState
from sengol_api.resilience import deadline, remaining
from sengol_api.resilience.testing import run_virtual


class Work:
    """Work that fails as often as it is told to, and notes when it was started."""

    def __init__(self, *errors, lasts=0.0) -> None:
        self._errors = list(errors)
        self._lasts = lasts
        self.starts = []

    async def __call__(self) -> None:
        self.starts.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self._lasts)
        if self._errors:
            raise self._errors.pop(0)


def gaps(work):
    return [later - earlier for earlier, later in zip(work.starts, work.starts[1:], strict=False)]


def during(seconds, *, random=None, **work):
    """Let the supervisor run for a while; gives the last snapshot before it stops."""

    async def main():
        async with Background(random=random or Random(1)) as background:
            for name, do in work.items():
                background.run(name, do)
            await asyncio.sleep(seconds)
            return background.snapshot()

    return run_virtual(main())


def test_work_that_comes_to_its_end_is_done_and_not_started_again():
    work = Work()
    snapshot = during(1000, once=work)["once"]
    assert (snapshot.state, snapshot.starts, snapshot.failures, len(work.starts)) == (WorkState.DONE, 1, 0, 1)


def test_work_that_fails_is_logged_with_its_error_counted_and_started_again(caplog):
    work = Work(RuntimeError("canary"), OSError("another"))
    snapshot = during(1000, rebuild=work)["rebuild"]
    assert (snapshot.state, snapshot.starts, snapshot.failures, snapshot.failures_in_a_row) == (WorkState.DONE, 3, 2, 0)
    assert snapshot.last_error == "OSError"
    failures = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [(record.work, str(record.exc_info[1])) for record in failures] == [("rebuild", "canary"), ("rebuild", "another")]


def test_the_pauses_double_from_one_second_to_a_minute_half_of_each_by_chance():
    work = Work(*[RuntimeError()] * 12)
    during(1000, rebuild=work)
    for number, gap in enumerate(gaps(work)):
        due = min(2.0**number, LONGEST_PAUSE)
        assert due / 2 <= gap <= due
    assert len({round(gap / min(2.0**n, LONGEST_PAUSE), 3) for n, gap in enumerate(gaps(work))}) > 6


def test_what_ran_well_for_long_before_it_failed_is_started_again_soon():
    work = Work(*[RuntimeError()] * 6, lasts=2 * LONGEST_PAUSE)
    during(1000, rebuild=work)
    assert all(gap < 2 * LONGEST_PAUSE + 1.1 for gap in gaps(work))


def test_periodic_work_is_done_again_that_long_after_its_end():
    work = Work(lasts=3.0)

    async def main():
        async with Background() as background:
            background.run("prices", work, every=10.0)
            await asyncio.sleep(40)
            return background.snapshot()["prices"]

    snapshot = run_virtual(main())
    assert gaps(work) == [13.0, 13.0, 13.0]
    assert snapshot.failures == 0


def test_something_cancelled_inside_is_a_failure_and_not_the_end():
    async def inside():
        task = asyncio.create_task(asyncio.sleep(100))
        asyncio.get_running_loop().call_later(1, task.cancel)
        await task

    snapshot = during(60, follow=inside)["follow"]
    assert snapshot.last_error == "CancelledError"
    assert snapshot.starts > 3


def test_one_that_fails_disturbs_no_other():
    well = Work(lasts=50.0)
    snapshot = during(49, bad=Work(*[RuntimeError()] * 99), well=well)
    assert snapshot["well"].state is WorkState.RUNNING
    assert snapshot["bad"].state is WorkState.PAUSED
    assert len(well.starts) == 1


def test_stopping_cancels_all_work_and_waits_until_it_has_cleaned_up(caplog):
    cleaned = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            cleaned.append(1)

    async def main():
        async with Background() as background:
            background.run("one", work)
            background.run("two", work)
            await asyncio.sleep(0.1)
        return background.snapshot()

    snapshot = run_virtual(main())
    assert cleaned == [1, 1]
    assert {(each.state, each.failures) for each in snapshot.values()} == {(WorkState.STOPPED, 0)}
    assert caplog.records == []


@pytest.mark.parametrize("how", ["returns", "raises"])
def test_work_that_swallows_its_cancellation_is_not_started_again(how):
    starts = []

    async def stubborn():
        starts.append(1)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if how == "raises":
                raise RuntimeError from None

    async def main():
        async with Background() as background:
            background.run("stubborn", stubborn, every=1.0)
            await asyncio.sleep(0.1)
        await asyncio.sleep(100)

    run_virtual(main())
    assert starts == [1]


def test_work_that_does_not_end_is_named_and_left_behind(caplog):
    async def main():
        background = Background()
        release = asyncio.Event()

        async def deaf():
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        background.run("deaf", deaf)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        started = loop.time()
        await background.stop()
        assert loop.time() - started < 10
        release.set()
        await asyncio.sleep(0.1)

    run_virtual(main())
    assert [record.work for record in caplog.records if record.levelno == logging.WARNING] == [["deaf"]]


def test_work_knows_nothing_of_the_request_that_started_it():
    seen = []

    async def work():
        seen.append((request_id.get(), remaining()))

    async def main():
        token = request_id.set("a request")
        async with Background() as background:
            with deadline(5):
                background.run("work", work)
                await asyncio.sleep(1)
        request_id.reset(token)

    run_virtual(main())
    assert seen == [(None, None)]


def test_a_name_is_taken_while_its_work_runs_and_free_when_it_is_done():
    async def main():
        async with Background() as background:
            background.run("work", lambda: asyncio.sleep(5))
            with pytest.raises(ValueError, match="'work' runs already"):
                background.run("work", lambda: asyncio.sleep(5))
            await asyncio.sleep(6)
            background.run("work", lambda: asyncio.sleep(5))

    run_virtual(main())
