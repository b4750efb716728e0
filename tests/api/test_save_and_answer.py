"""Saving questions, answering them, and the score."""

import asyncio
import copy
import json

import pytest

from support.wire import assert_error, problems


async def save(api, review, questions, **headers):
    return await api.send("PUT", f"/api/review/{review}/save-questions", questions, **headers)


async def answer(api, review, answers, **headers):
    return await api.send("PUT", f"/api/review/{review}/answers", answers, **headers)


async def score(api, review) -> dict:
    return (await api.get(f"/api/review/{review}/score")).json()["data"]


async def test_what_was_generated_can_be_saved_as_it_is_and_comes_back_so(api):
    review, questions = await api.saved()
    answered = await api.get(f"/api/review/{review}")
    data = answered.json()["data"]
    assert {name: data[name] for name in questions} == questions
    assert (data["revision"], answered.headers["etag"]) == (1, '"1"')


async def test_fewer_questions_or_none_can_be_saved(api):
    review, questions = await api.saved()
    some = {"riskQuestions": questions["riskQuestions"][:2], "complianceQuestions": []}
    told = await save(api, review, some)
    assert told.json()["data"] == {"revision": 2, "riskQuestions": 2, "complianceQuestions": 0}
    assert told.headers["etag"] == '"2"'
    assert (await save(api, review, {"riskQuestions": [], "complianceQuestions": []})).status_code == 200


async def test_a_save_on_an_old_revision_is_a_conflict_that_changes_nothing(api):
    review, questions = await api.saved()
    less = {**questions, "complianceQuestions": []}
    assert (await save(api, review, less, **{"If-Match": '"1"'})).headers["etag"] == '"2"'
    refused = await save(api, review, questions, **{"If-Match": '"1"'})
    assert assert_error(refused, "CONFLICT") == {"currentRevision": 2, "expectedRevision": 1}
    assert (await api.get(f"/api/review/{review}")).json()["data"]["complianceQuestions"] == []
    for header in ('W/"2"', "*"):
        assert (await save(api, review, questions, **{"If-Match": header})).status_code == 200


async def test_of_two_writers_at_once_the_second_is_told(api):
    review, questions = await api.saved()
    told = await asyncio.gather(*(save(api, review, questions, **{"If-Match": '"1"'}) for _ in range(2)))
    assert sorted(a.status_code for a in told) == [200, 412]


@pytest.mark.parametrize("header", ["", "1", '"x"', '"1', '"1", "2"', '"99999999999999"', '"-1"', "W/1"])
async def test_an_if_match_that_is_no_revision_is_told(api, header):
    review, questions = await api.saved()
    assert problems(await save(api, review, questions, **{"If-Match": header})) == {"If-Match": "pattern"}


def edited(questions, **changes):
    """The questions with the first risk question changed."""
    questions = copy.deepcopy(questions)
    questions["riskQuestions"][0].update(changes)
    return questions


async def test_a_weight_that_its_parts_do_not_give_is_refused(api):
    review, questions = await api.saved()
    assert problems(await save(api, review, edited(questions, finalWeight=0.01))) == {"riskQuestions[0].finalWeight": "mismatch"}


async def test_questions_with_strange_shapes_are_refused_with_all_that_is_wrong(api):
    review, questions = await api.saved()
    wrong = edited(questions, text=5, priority="urgent", baseWeight=1.5, extra=1, confidence=None, examples=["x"] * 51, id="evil\n")
    del wrong["riskQuestions"][1]["label"]
    wrong["more"] = []
    assert problems(await save(api, review, wrong)) == {
        "riskQuestions[0].text": "wrong_type",
        "riskQuestions[0].priority": "not_a_choice",
        "riskQuestions[0].baseWeight": "out_of_range",
        "riskQuestions[0].extra": "unknown_field",
        "riskQuestions[0].confidence": "wrong_type",
        "riskQuestions[0].examples": "too_long",
        "riskQuestions[0].id": "pattern",
        "riskQuestions[1].label": "missing",
        "more": "unknown_field",
    }
    assert (await api.get(f"/api/review/{review}")).json()["data"]["revision"] == 1


@pytest.mark.parametrize(
    "identity", ["ai.injection\n", "ai.", "ai.İ", "AI.injection", "law.injection", "ai.x y", "ai." + "x" * 101, "ai.x\x00"]
)
async def test_an_id_of_another_form_is_refused(api, identity):
    review, questions = await api.saved()
    assert problems(await save(api, review, edited(questions, id=identity))) == {"riskQuestions[0].id": "pattern"}
    assert len(problems(await answer(api, review, {identity: "addressed"}))) == 1


async def test_a_question_twice_or_in_the_wrong_list_or_domain_is_refused(api):
    review, questions = await api.saved()
    twice = {**questions, "riskQuestions": [*questions["riskQuestions"], questions["riskQuestions"][0]]}
    assert set(problems(await save(api, review, twice)).values()) == {"duplicate"}
    swapped = {"riskQuestions": questions["complianceQuestions"], "complianceQuestions": []}
    assert problems(await save(api, review, swapped)) == {"riskQuestions[0].id": "mismatch"}
    domain = next(d for d in ("ai", "cyber") if d != questions["riskQuestions"][0]["domain"])
    assert problems(await save(api, review, edited(questions, domain=domain))) == {"riskQuestions[0].domain": "mismatch"}


@pytest.mark.parametrize(
    "body", [{}, [], None, 5, "questions", {"riskQuestions": {}, "complianceQuestions": None}, {"riskQuestions": [None]}]
)
async def test_what_is_no_set_of_questions_is_refused(api, body):
    problems(await save(api, await api.review(), body if body is not None else b"null"))


async def test_answers_are_kept_and_an_answer_twice_changes_nothing(api):
    review, questions = await api.saved()
    first, second = (q["id"] for q in questions["riskQuestions"][:2])
    await answer(api, review, {first: "addressed"})
    for _ in range(2):
        told = await answer(api, review, {second: "partially_addressed"})
        assert told.json()["data"]["answers"] == {first: "addressed", second: "partially_addressed"}
    assert (await api.get(f"/api/review/{review}")).json()["data"]["answers"] == {first: "addressed", second: "partially_addressed"}


async def test_answers_at_once_to_different_questions_all_stay(api):
    review, questions = await api.saved()
    ids = [q["id"] for name in questions for q in questions[name]]
    await asyncio.gather(*(answer(api, review, {key: "addressed"}) for key in ids))
    assert (await api.get(f"/api/review/{review}")).json()["data"]["answers"] == dict.fromkeys(ids, "addressed")


async def test_an_answer_to_a_question_that_was_not_saved_is_refused_and_nothing_of_it_is_kept(api):
    review, questions = await api.saved()
    known = questions["riskQuestions"][0]["id"]
    told = await answer(api, review, {known: "addressed", "ai.unknown": "addressed", "cyber.unknown": "addressed"})
    assert problems(told) == {"ai.unknown": "unknown_question", "cyber.unknown": "unknown_question"}
    assert (await api.get(f"/api/review/{review}")).json()["data"]["answers"] == {}


async def test_before_questions_are_saved_nothing_can_be_answered(api):
    assert problems(await answer(api, await api.review(), {"ai.injection": "addressed"})) == {"ai.injection": "unknown_question"}


@pytest.mark.parametrize("value", ["yes", "", "ADDRESSED", None, 1, True, ["addressed"], {"answer": "addressed"}])
async def test_an_answer_is_one_of_four(api, value):
    review, questions = await api.saved()
    key = questions["riskQuestions"][0]["id"]
    assert set(problems(await answer(api, review, {key: value}))) == {key}


@pytest.mark.parametrize("body", [{}, [], b"null", b'"addressed"', {f"ai.q{n}": "addressed" for n in range(401)}])
async def test_what_are_no_answers_is_refused(api, body):
    review, _ = await api.saved()
    problems(await answer(api, review, body))


async def test_all_addressed_is_100_none_is_0_and_not_applicable_is_neutral(api):
    review, questions = await api.saved()
    ids = [q["id"] for name in questions for q in questions[name]]
    assert (await score(api, review))["score"] == 0
    await answer(api, review, dict.fromkeys(ids, "addressed"))
    assert (await score(api, review))["score"] == 100
    await answer(api, review, {ids[0]: "not_applicable"})
    assert (await score(api, review))["score"] == 100
    await answer(api, review, dict.fromkeys(ids, "partially_addressed"))
    assert (await score(api, review))["score"] == pytest.approx(50)
    await answer(api, review, dict.fromkeys(ids, "not_applicable"))
    assert (await score(api, review))["score"] is None


async def test_a_score_recomputes_from_its_terms(api):
    review, questions = await api.saved()
    ids = [q["id"] for name in questions for q in questions[name]]
    choices = ["addressed", "partially_addressed", "not_addressed", "not_applicable"]
    await answer(api, review, {key: choices[n % 4] for n, key in enumerate(ids)})
    told = await score(api, review)

    def part(name):
        terms = told[name]["terms"]
        assert told[name]["totalWeight"] == pytest.approx(sum(t["weight"] for t in terms))
        return sum(t["points"] * t["weight"] for t in terms) / sum(t["weight"] for t in terms)

    assert told["risk"]["score"] == pytest.approx(part("risk"))
    assert told["score"] == pytest.approx(0.6 * part("risk") + 0.4 * part("compliance"))
    weights = {q["id"]: q["finalWeight"] for name in questions for q in questions[name]}
    assert all(t["weight"] == weights[t["questionId"]] for name in ("risk", "compliance") for t in told[name]["terms"])


async def test_a_document_at_the_limit_of_its_route_is_read_and_one_byte_more_is_too_large(api):
    review, questions = await api.saved()
    body = json.dumps(questions).encode()
    assert (await save(api, review, body + b" " * (4 * 1024 * 1024 - len(body)))).status_code == 200
    refused = await save(api, review, body + b" " * (4 * 1024 * 1024 - len(body) + 1))
    assert assert_error(refused, "PAYLOAD_TOO_LARGE") == {"limitBytes": 4 * 1024 * 1024}
