"""What a result was made from."""

import asyncio

from sengol_api.review.provenance import Degradation, collect, count_call, note


def test_rungs_with_a_reason_are_degraded_and_each_reason_stands_once():
    with collect() as provenance:
        note("search", "fresh")
        note("model", "evidence", "no answer in time")
        note("model", "evidence", "no answer in time")
        note("model", "evidence", "its key is refused")
        note("model", "fresh")
        count_call()
    assert provenance.degraded == (
        Degradation("model", "evidence", "its key is refused"),
        Degradation("model", "evidence", "no answer in time"),
    )
    assert provenance.served == (("model", ("evidence", "fresh")), ("search", ("fresh",)))
    assert provenance.calls == 1


def test_outside_nobody_collects():
    note("search", "embedded", "away")
    count_call()
    with collect() as provenance:
        pass
    assert (provenance.degraded, provenance.served, provenance.calls) == ((), (), 0)


async def test_the_tasks_and_threads_of_a_work_are_heard_and_those_of_others_are_not():
    async def work(name):
        with collect() as provenance:
            await asyncio.gather(asyncio.create_task(told(name)), asyncio.to_thread(note, name, "fresh"))
        return provenance

    async def told(name):
        await asyncio.sleep(0)
        note(name, "stale", "late")

    found = await asyncio.gather(work("search"), work("model"))
    assert [[dependency for dependency, _ in each.served] for each in found] == [["search"], ["model"]]
    assert all(each.served[0][1] == ("fresh", "stale") for each in found)
