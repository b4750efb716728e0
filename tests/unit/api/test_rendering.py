"""Answers of the main job as bytes."""

import dataclasses

import msgspec

from sengol_api.api import examples, present, wire
from sengol_api.api.rendering import rendered
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
        assert msgspec.json.encode(rendered(result, HOW)) == msgspec.json.encode(whole)


async def test_another_answer_never_gets_the_bytes_of_one_before():
    first, second = await made(), await made("Phishing mail of employees, and credentials that were stolen.")
    told = [msgspec.json.decode(msgspec.json.encode(rendered(each, HOW))) for each in (first, second, first)]
    assert told[0] == told[2] != told[1]


async def test_how_it_was_made_is_told_anew_each_time():
    result = await made()
    other = msgspec.structs.replace(HOW, cache="hit")
    assert rendered(result, HOW).generation_metadata.cache == "miss"
    assert rendered(result, other).generation_metadata.cache == "hit"
    assert rendered(dataclasses.replace(result, questions=()), other).risk_questions == msgspec.Raw(b"[]")
