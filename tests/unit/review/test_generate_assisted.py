"""The laws of the main job hold with a model as they do without one."""

import asyncio
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.review import weights
from sengol_api.review.area import DOMAINS
from sengol_api.review.errors import LLMError
from sengol_api.review.facts import ReviewRequest
from sengol_api.review.question import part_of
from support.assisted import ScriptedModel, counted
from support.toys import NOON, toy_world

TODAY = NOON.date()
REQUEST = ReviewRequest(
    description="An assistant that answers patients and can be steered by hidden instructions in a document.",
    domains=frozenset(DOMAINS),
    jurisdictions=frozenset({"Germany"}),
    industry="healthcare",
)


@cache
def world():
    return asyncio.run(toy_world())


def reword(data):
    """A model that puts the system before each question, turns each order round, and adds all that it may."""
    items = [
        {
            "area": entry["area"],
            "question": f"For the assistant of patients, {entry['question'][0].lower()}{entry['question'][1:]}",
            "importance": f"Patients ask the assistant, and {entry['question'][31:-1]} is about it.",
            "cites": [incident["id"] for incident in entry["incidents"]],
            "mitigations": [],
        }
        for entry in (*data["reword"], *data["offered"])
    ]
    order = [entry["area"] for entry in (*data["rank"], *data["reword"])][::-1]
    return {"order": order, "add": [entry["area"] for entry in data["offered"]], "items": items}


def ask(model=None, **changes):
    job = world().use_case(model=model or ScriptedModel(reword))
    return asyncio.run(job(replace(REQUEST, **changes), as_of=TODAY))


def plain(**changes):
    return asyncio.run(world().use_case()(replace(REQUEST, **changes), as_of=TODAY))


def by_id(generated):
    return {question.id: question for question in generated.questions}


def test_the_same_questions_stand_on_the_same_evidence_in_other_words():
    helped, alone = by_id(ask()), by_id(plain())
    assert {key: counted(q) for key, q in helped.items()} == {key: counted(q) for key, q in alone.items()}
    assert {q.generated_from for q in helped.values()} == {"hybrid"}
    assert all(q.text.startswith("For the assistant of patients, ") for q in helped.values())
    assert (ask().summary, ask().incidents_found, ask().model) == (plain().summary, plain().incidents_found, "scripted")


def test_every_weight_recomputes_and_the_order_is_that_of_the_printed_weights():
    found = ask().questions
    for question in found:
        shown = (question.base_weight, question.evidence_weight, question.industry_weight)
        assert question.final_weight == weights.final_weight(part_of(question.domain), *shown)
    printed = [f"{question.final_weight:.2f}" for question in found]
    assert printed == sorted(printed, reverse=True)


@given(st.sets(st.sampled_from(DOMAINS), min_size=2), st.data())
def test_removing_a_domain_removes_its_questions_and_changes_no_other(domains, data):
    gone = data.draw(st.sampled_from(sorted(domains)))
    before, after = by_id(ask(domains=frozenset(domains))), by_id(ask(domains=frozenset(domains - {gone})))
    assert after.keys() == {key for key, question in before.items() if question.domain != gone}
    assert all(after[key].final_weight == before[key].final_weight for key in after)


@pytest.mark.parametrize("maximum", [1, 3, 5])
def test_there_are_no_more_questions_than_asked_for(maximum):
    assert len(ask(max_questions=maximum).questions) == maximum
    assert all(sum(q.domain == domain for q in ask(questions_per_domain=1).questions) <= 1 for domain in DOMAINS)


@given(st.floats(0, 1))
def test_nothing_lighter_than_the_least_weight_is_asked(least):
    assert all(question.final_weight >= least for question in ask(min_weight=least).questions)


def test_the_same_request_gives_the_same_answer():
    assert ask() == ask()


def test_a_model_that_fails_is_told_and_costs_its_words_only():
    class Broken(ScriptedModel):
        async def answer(self, task, *, check):
            raise LLMError("The model does not answer.")

    found = ask(Broken(reword))
    assert found.questions == plain().questions
    [told] = found.degraded
    assert (told.dependency, told.served) == ("model", "evidence")
    assert told.reason.endswith("The model does not answer.")
    assert found.model is None


def test_a_model_that_is_known_to_be_away_gets_no_task_and_the_answer_is_the_one_of_evidence():
    model = ScriptedModel(reword)
    model.reason_away = "its circuit breaker is open"
    found = ask(model)
    assert model.tasks == []
    assert found.questions == plain().questions
    assert (found.summary, found.incidents_found, found.model) == (plain().summary, plain().incidents_found, None)
    [told] = found.degraded
    assert (told.dependency, told.served) == ("model", "evidence")
    assert told.reason == f"{', '.join(DOMAINS)}: its circuit breaker is open"
    assert dict(found.served)["model"] == ("evidence",)


def test_no_spare_areas_are_looked_up_for_a_model_that_is_away():
    looked_up = []

    class Watched(type(world().keywords)):
        async def search(self, queries, limit, allowed=None):
            looked_up.append(len(queries))
            return await super().search(queries, limit, allowed)

    keywords, kind = world().keywords, type(world().keywords)
    keywords.__class__ = Watched
    try:
        away = ScriptedModel(reword)
        away.reason_away = "its circuit breaker is open"
        ask(max_questions=3)
        ask(away, max_questions=3)
        plain(max_questions=3)
    finally:
        keywords.__class__ = kind
    there, without, alone = looked_up
    assert there > without == alone


def test_a_model_that_comes_back_is_asked_at_the_next_review():
    model = ScriptedModel(reword)
    model.reason_away = "its circuit breaker is open"
    ask(model)
    model.reason_away = ""
    assert ask(model).model == "scripted"


def test_a_model_that_cannot_say_whether_it_is_there_is_asked():
    class Silent(ScriptedModel):
        async def away(self, subject):
            raise RuntimeError

    assert ask(Silent(reword)).model == "scripted"


def test_the_subject_is_that_of_the_request_on_every_day_and_with_every_task():
    model = ScriptedModel(reword)
    job = world().use_case(model=model)
    for day in (TODAY, TODAY.replace(year=TODAY.year + 1)):
        asyncio.run(job(REQUEST, as_of=day))
    asyncio.run(job(replace(REQUEST, industry="finance"), as_of=TODAY))
    one, same, other = model.subjects
    assert one == same != other
    assert {task.subject for task in model.tasks} == {one, other}
