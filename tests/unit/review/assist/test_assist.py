"""All domains at once, each by itself; a model that fails costs its help only."""

import asyncio
import importlib
import threading
from dataclasses import replace

import pytest

from sengol_api.review.area import DOMAINS
from sengol_api.review.assist.apply import arrange
from sengol_api.review.assist.assist import assist
from sengol_api.review.assist.grounding import Grounding
from sengol_api.review.errors import CircuitBreakerError, LLMError
from support.assisted import REQUEST, ScriptedModel, counted, embedder, good_answer, reviewed

module = importlib.import_module("sengol_api.review.assist.assist")  # its name leads to the function


async def helped(model, review, **options):
    return await assist(model, review.asked, review.places, review.facts, embed=embedder().embed_now, **options)


def outcomes(assisted):
    return {outcome.domain: outcome for outcome in assisted.outcomes}


class Failing(ScriptedModel):
    """Fails in the given ways in the given domains."""

    def __init__(self, **failures):
        super().__init__(good_answer)
        self.failures = failures

    async def answer(self, task, *, check):
        if failure := self.failures.get(task.name.removeprefix("questions_")):
            raise failure
        return await super().answer(task, check=check)


async def test_one_call_per_domain_and_every_domain_is_reworded(review):
    model = ScriptedModel(good_answer)
    assisted = await helped(model, review)
    assert sorted(task.name for task in model.tasks) == sorted(f"questions_{domain}" for domain in DOMAINS)
    for domain in DOMAINS:
        found = outcomes(assisted)[domain]
        assert (found.served, found.reason, found.model, found.calls) == ("fresh", "", "scripted", 1)
        assert found.reworded == 12
        assert found.refused <= 2
    assert {question.id for question in assisted.questions} == {question.id for question in review.asked}


async def test_reworded_questions_speak_of_the_system_and_keep_their_own_text(review):
    assisted = await helped(ScriptedModel(good_answer), review)
    hybrid = [question for question in assisted.questions if question.generated_from == "hybrid"]
    assert len(hybrid) == 48
    spoken = [question for question in hybrid if question.text.startswith("For this chatbot and its patients, ")]
    assert len(spoken) >= 46
    assert all(question.catalogue_text in {q.text for q in review.asked} for question in hybrid)


async def test_the_answer_is_the_same_each_time_and_whatever_the_order_of_the_questions(review):
    first = await helped(ScriptedModel(good_answer), review)
    again = await helped(ScriptedModel(good_answer), reviewed())
    turned = await helped(ScriptedModel(good_answer), replace(review, asked=tuple(reversed(review.asked))))
    assert first == again == turned


async def test_the_same_request_sends_the_same_tasks(review):
    one, other = ScriptedModel(good_answer), ScriptedModel(lambda _: None)
    await helped(one, review)
    await helped(other, reviewed())
    by_name = [{task.name: task for task in model.tasks} for model in (one, other)]
    assert by_name[0] == by_name[1]


@pytest.mark.parametrize(
    ("domain", "failure", "reason"),
    [
        ("ai", LLMError("The model did not answer within 60 s."), "The model did not answer within 60 s."),
        ("cyber", CircuitBreakerError("The circuit of the model is open."), "The circuit of the model is open."),
        ("cloud", KeyError("choices"), "the answer of the model could not be used (KeyError)"),
        ("compliance", RecursionError(), "the answer of the model could not be used (RecursionError)"),
        ("ai", asyncio.CancelledError(), "the call of the model was cut off"),
    ],
)
async def test_a_domain_that_fails_stays_as_evidence_made_it_and_the_others_go_on(review, domain, failure, reason):
    assisted = await helped(Failing(**{domain: failure}), review)
    whole = await helped(ScriptedModel(good_answer), review)
    found = outcomes(assisted)
    assert (found[domain].served, found[domain].reason, found[domain].model) == ("evidence", reason, None)
    own = {question.id: question for question in review.of(domain)}
    for question in assisted.questions:
        assert question == own[question.id] if question.domain == domain else question in whole.questions
    assert {key: value for key, value in found.items() if key != domain} == {
        key: value for key, value in outcomes(whole).items() if key != domain
    }


async def test_when_every_domain_fails_all_is_as_without_a_model(review):
    assisted = await helped(Failing(**{domain: LLMError("No.") for domain in DOMAINS}), review)
    assert assisted.questions == arrange(review.asked, {})


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (lambda _: "I cannot help with that.", "nothing of the model's answer passed the checks"),
        (lambda _: {"order": [], "add": [], "items": []}, "the model suggested nothing"),
        (
            lambda data: {"order": [], "add": [], "items": [{"area": data["reword"][0]["area"]}]},
            "nothing of the model's answer passed",
        ),
    ],
)
async def test_an_answer_without_anything_of_use_is_told_as_evidence_only(review, script, reason):
    assisted = await helped(ScriptedModel(script), review)
    assert assisted.questions == arrange(review.asked, {})
    for found in assisted.outcomes:
        assert (found.served, found.model, found.calls) == ("evidence", None, 1)
        assert reason in found.reason


@pytest.mark.parametrize("served", ["cached", "stale"])
async def test_a_kept_answer_is_told_as_such(review, served):
    assisted = await helped(ScriptedModel(good_answer, served), review)
    assert {(found.served, found.reason) for found in assisted.outcomes} == {(served, "the provider does not answer")}


async def test_what_the_model_adds_is_weighed_by_us_and_labelled(review):
    model = ScriptedModel(lambda data: good_answer(data, [entry["area"] for entry in data["offered"]][: data["mayAdd"]]))
    assisted = await helped(model, review)
    wanted = {question.id: question for places in review.places.values() for question in places.offered[: places.limit]}
    added = [question for question in assisted.questions if question.generated_from == "llm"]
    assert {question.id for question in added} == wanted.keys() != set()
    assert all(counted(question) == counted(wanted[question.id]) for question in added)
    assert len(assisted.questions) == len(review.asked)
    assert {key for found in assisted.outcomes for key in found.added} == wanted.keys()


async def test_the_heaviest_are_worded_and_no_more_than_wanted(review):
    assisted = await helped(ScriptedModel(good_answer), review, worded=3)
    for domain in DOMAINS:
        heaviest = {question.id for question in review.of(domain)[:3]}
        assert {q.id for q in assisted.questions if q.domain == domain and q.generated_from == "hybrid"} == heaviest


async def test_without_questions_nobody_is_asked(review):
    model = ScriptedModel(good_answer)
    assert await helped(model, replace(review, asked=())) == await helped(Failing(), replace(review, asked=()))
    assert model.tasks == []


async def test_all_domains_are_asked_at_once(review):
    waiting = asyncio.Barrier(len(DOMAINS))

    class Patient(ScriptedModel):
        async def answer(self, task, *, check):
            await waiting.wait()
            return await super().answer(task, check=check)

    async with asyncio.timeout(20):
        assert len((await helped(Patient(good_answer), review)).outcomes) == len(DOMAINS)


async def test_a_caller_who_goes_away_takes_all_calls_along(review):
    begun, ended = asyncio.Semaphore(0), []

    class Slow(ScriptedModel):
        async def answer(self, task, *, check):
            begun.release()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(task.name)

    work = asyncio.create_task(helped(Slow(good_answer), review))
    for _ in DOMAINS:
        await begun.acquire()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert len(ended) == len(DOMAINS)


async def test_two_reviews_at_once_do_not_mix(review):
    other = reviewed(
        replace(REQUEST, domains=frozenset({"ai"}), description="A machine-learning model that rates loans of a bank.")
    )
    model = ScriptedModel(good_answer)
    one, two = await asyncio.gather(helped(model, review), helped(model, other))
    assert one == await helped(ScriptedModel(good_answer), review)
    assert two == await helped(ScriptedModel(good_answer), other)
    assert {question.domain for question in two.questions} == {"ai"}


@pytest.mark.parametrize("gone", DOMAINS)
async def test_removing_a_domain_removes_its_questions_and_no_other(review, gone):
    rest = replace(review, asked=tuple(question for question in review.asked if question.domain != gone))
    whole, part = await helped(ScriptedModel(good_answer), review), await helped(ScriptedModel(good_answer), rest)
    assert part.questions == tuple(question for question in whole.questions if question.domain != gone)


async def test_what_takes_milliseconds_is_done_beside_the_loop(review, monkeypatch):
    threads = []

    def seen(function):
        def call(*args):
            threads.append((function.__name__, threading.current_thread() is threading.main_thread()))
            return function(*args)

        return call

    for owner, name in ((module, "task"), (module, "apply"), (Grounding, "__init__"), (Grounding, "examine")):
        monkeypatch.setattr(owner, name, seen(getattr(owner, name)))
    await helped(ScriptedModel(good_answer), review)
    assert set(threads) == {(name, False) for name in ("task", "apply", "__init__", "examine")}
