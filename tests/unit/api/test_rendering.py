"""Answers of the main job as bytes."""

import asyncio
import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec

from sengol_api.api import examples, present, wire
from sengol_api.api.rendering import KEPT, Renderings, rendered
from sengol_api.review.area import DOMAINS
from sengol_api.review.facts import ReviewRequest
from support.toys import NOON, toy_world

HOW = examples.GENERATED.generation_metadata


async def made(description="An assistant that can be steered by hidden instructions."):
    return await (await toy_world()).use_case()(
        ReviewRequest(description=description, domains=frozenset(DOMAINS)), as_of=NOON.date()
    )


async def test_the_bytes_are_those_of_the_answer():
    result = await made()
    whole = wire.GeneratedOut(**present.content(result), generation_metadata=HOW)
    for _ in range(2):
        assert msgspec.json.encode(await rendered(result, HOW)) == msgspec.json.encode(whole)


async def test_another_answer_never_gets_the_bytes_of_one_before():
    first, second = await made(), await made("Phishing mail of employees, and credentials that were stolen.")
    told = [msgspec.json.decode(msgspec.json.encode(await rendered(each, HOW))) for each in (first, second, first)]
    assert told[0] == told[2] != told[1]


async def test_how_it_was_made_is_told_anew_each_time():
    result = await made()
    other = msgspec.structs.replace(HOW, cache="hit")
    assert (await rendered(result, HOW)).generation_metadata.cache == "miss"
    assert (await rendered(result, other)).generation_metadata.cache == "hit"
    assert (await rendered(dataclasses.replace(result, questions=()), other)).risk_questions == msgspec.Raw(b"[]")


async def test_one_that_is_made_beside_the_loop_is_at_hand_for_all_others(monkeypatch):
    result, threads, content = await made(), [], present.content

    def seen(value):
        threads.append(threading.current_thread())
        return content(value)

    monkeypatch.setattr(present, "content", seen)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))

    async def while_the_thread_is_busy(*work):
        go_on = threading.Event()
        busy = asyncio.create_task(asyncio.to_thread(go_on.wait, 20))
        tasks = [asyncio.create_task(each) for each in work]
        await asyncio.sleep(0)
        done = [task.done() for task in tasks]
        go_on.set()
        await asyncio.gather(busy, *tasks)
        return done

    assert await while_the_thread_is_busy(*(rendered(result, HOW) for _ in range(5))) == [False] * 5
    assert await while_the_thread_is_busy(rendered(result, HOW)) == [True]
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


async def test_the_one_that_was_used_last_stays_longest():
    renderings, results = Renderings(), [dataclasses.replace(await made(), questions=()) for _ in range(KEPT + 1)]
    for result in results[:KEPT]:
        renderings.make(result)
    assert renderings.find(results[0]) is renderings.make(results[0])
    renderings.make(results[KEPT])
    assert [renderings.find(result) is None for result in results] == [at == 1 for at in range(KEPT + 1)]
