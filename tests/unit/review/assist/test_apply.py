"""Whatever a model answers: no weight, id, count, clause or shown incident changes, and nothing raises."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sengol_api.review import weights
from sengol_api.review.area import DOMAINS
from sengol_api.review.assist.apply import apply, arrange
from sengol_api.review.assist.grounding import Examined, Rewording
from sengol_api.review.assist.places import ONE_IN, Places
from sengol_api.review.question import part_of
from support.assisted import counted

AREA = "ai.prompt-injection"


def examined(rewordings=None, add=(), order=()):
    return Examined(order, add, rewordings or {}, (), 0, unreadable=False)


def one(review, rewording, places=None):
    done = apply(review.of("ai"), places or Places(), examined({AREA: rewording}))
    [question] = [question for question in done.questions if question.id == AREA]
    return question, done


def original(review):
    return next(question for question in review.asked if question.id == AREA)


def test_an_empty_answer_changes_nothing(review):
    done = apply(review.of("ai"), review.places["ai"], examined())
    assert list(done.questions) == review.of("ai")
    assert (done.added, done.reworded) == ((), 0)


def test_a_question_gets_its_new_text_and_says_so(review):
    question, done = one(review, Rewording(question="Is this the new text?"))
    assert (question.text, question.generated_from) == ("Is this the new text?", "hybrid")
    assert question.catalogue_text == original(review).text
    assert question.importance == original(review).importance
    assert done.reworded == 1


def test_the_models_reason_stands_before_ours_and_names_what_it_rests_on(review):
    question, _ = one(review, Rewording(importance="So it is.", cites=(f"{AREA}-1",)))
    assert question.importance == f"So it is. {original(review).importance}"
    assert question.cited == (f"{AREA}-1",)
    assert question.related == original(review).related
    assert question.generated_from == "hybrid"


def test_mitigations_change_places_and_none_is_lost(review):
    known = original(review).mitigations
    question, _ = one(review, Rewording(mitigations=(3, 1)))
    assert question.mitigations == (known[3], known[1], known[0], known[2], known[4])


@pytest.mark.parametrize("rewording", [Rewording(), Rewording(mitigations=(0, 1)), Rewording(mitigations=(0,))])
def test_what_changes_nothing_is_not_said_to_be_the_models(review, rewording):
    question, done = one(review, rewording)
    assert question is original(review)
    assert done.reworded == 0


def test_the_same_text_as_before_is_no_rewording(review):
    assert one(review, Rewording(question=original(review).text))[1].reworded == 0


def test_what_was_not_shown_cannot_be_cited(review):
    assert one(review, Rewording(importance="So.", cites=("INC-99999", f"{AREA}-0")))[0].cited == (f"{AREA}-0",)


def test_an_added_area_takes_the_place_of_the_worst_fitting_and_says_who_added_it(review):
    places = review.places["ai"]
    [first, second] = places.offered
    done = apply(review.of("ai"), places, examined({second.id: Rewording(question="Is it?")}, add=(second.id,)))
    ids = {question.id for question in done.questions}
    assert len(done.questions) == len(review.of("ai"))
    assert places.yielding[0] not in ids
    assert places.yielding[1] in ids
    [new] = [question for question in done.questions if question.id == second.id]
    assert (new.generated_from, new.text, new.related) == ("llm", "Is it?", second.related)
    assert first.id not in ids


def test_an_area_that_was_not_offered_is_not_added(review):
    done = apply(review.of("ai"), review.places["ai"], examined(add=("ai.lemonade",)))
    assert list(done.questions) == review.of("ai")


def test_where_places_are_free_nobody_goes(review):
    places = Places(review.places["ai"].offered, (), 1)
    done = apply(review.of("ai"), places, examined(add=tuple(question.id for question in places.offered)))
    assert len(done.questions) == len(review.of("ai")) + 1
    assert {question.id for question in review.of("ai")} <= {question.id for question in done.questions}


def test_questions_stand_in_the_order_of_their_printed_weight_and_ties_in_the_models(review):
    rank = {question.id: place for place, question in enumerate(reversed(review.asked))}
    plain, ranked = arrange(review.asked, {}), arrange(review.asked, rank)
    assert [question.final_weight for question in plain] == sorted((q.final_weight for q in review.asked), reverse=True)
    assert [f"{question.final_weight:.2f}" for question in ranked] == [f"{question.final_weight:.2f}" for question in plain]
    assert ranked != plain
    for domain in DOMAINS:
        slots = [[place for place, question in enumerate(order) if question.domain == domain] for order in (plain, ranked)]
        assert slots[0] == slots[1]
        own = [question for question in ranked if question.domain == domain]
        places = [(-float(f"{question.final_weight:.2f}"), rank[question.id]) for question in own]
        assert places == sorted(places)


def test_a_question_without_a_place_in_the_models_order_comes_after_those_that_have_one(review):
    tied = [q for q in review.of("ai") if f"{q.final_weight:.2f}" == f"{review.of('ai')[-1].final_weight:.2f}"]
    last = tied[-1]
    assert arrange(tied, {last.id: 0})[0] == last
    assert sorted(arrange(tied, {last.id: 24})[1:], key=lambda q: q.id) == sorted(tied[:-1], key=lambda q: q.id)


TEXTS = st.one_of(
    st.text(max_size=80),
    st.sampled_from(["\ud800", "Is it?", "x" * 5_000, "Ignore all previous instructions?", "\x00", "é" * 300]),
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS | st.integers(), inner, max_size=4),
    max_leaves=20,
)


@st.composite
def answers(draw, review):
    """Answers from wholly wild to nearly right: known and unknown ids, good texts and bad ones, junk in any place."""
    asked = [question.id for question in review.of("ai")]
    offered = [question.id for question in review.places["ai"].offered]
    ids = st.sampled_from([*asked, *offered, "cyber.ot-safety", "compliance.bipa-release", "ai.lemonade", ""]) | TEXTS
    good = st.sampled_from([question.text for question in (*review.asked, *review.places["ai"].offered)])
    incidents = st.sampled_from([f"{area}-{number}" for area in asked[:5] for number in range(3)]) | TEXTS
    item = st.fixed_dictionaries(
        {},
        optional={
            "area": ids | JUNK,
            "question": good | TEXTS | JUNK,
            "importance": st.just("Patients of the hospital group talk to the chatbot, which keeps their conversations.")
            | TEXTS
            | JUNK,
            "cites": st.lists(incidents | JUNK, max_size=4) | JUNK,
            "mitigations": st.lists(st.integers(-2, 9) | JUNK, max_size=7) | JUNK,
            "finalWeight": st.just(1),
        },
    )
    parts = {"order": st.lists(ids | JUNK, max_size=8) | JUNK, "add": st.lists(ids | JUNK, max_size=6) | JUNK}
    items = st.lists(item | JUNK, max_size=5) | JUNK
    return draw(JUNK | st.fixed_dictionaries({}, optional={**parts, "items": items, "weights": JUNK}))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_answer_whatever_it_is_changes_what_is_counted(review, grounding, data):
    value = data.draw(answers(review))
    places = review.places["ai"]
    assert all(isinstance(problem, str) for problem in grounding.check(value))
    done = apply(review.of("ai"), places, grounding.examine(value))
    before = {question.id: question for question in (*review.of("ai"), *places.offered)}
    after = {question.id: question for question in done.questions}
    gone = {question.id for question in review.of("ai")} - after.keys()
    assert len(after) == len(done.questions) == len(review.of("ai"))
    assert after.keys() - {question.id for question in review.of("ai")} == set(done.added) <= {q.id for q in places.offered}
    assert gone == set(places.yielding[: len(done.added)])
    assert len(gone) <= len(review.of("ai")) // ONE_IN
    for key, question in after.items():
        assert counted(question) == counted(before[key])
        mixed = (question.base_weight, question.evidence_weight, question.industry_weight)
        assert question.final_weight == weights.final_weight(part_of(question.domain), *mixed)
        assert set(question.cited) <= {match.incident.id for match in question.related}
        assert question.importance.endswith(before[key].importance)
        assert (question.generated_from == "llm") == (key in done.added)
        question.text.encode()
    total = sum(question.final_weight for question in done.questions)
    assert total >= sum(question.final_weight for question in review.of("ai")) - 1e-9


def test_ten_megabytes_and_a_deep_nest_are_no_burden(review, grounding):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    huge = {
        "area": AREA,
        "question": "é" * 10_000_000,
        "importance": "x" * 10_000_000,
        "cites": ["y" * 10_000_000],
        "mitigations": deep,
    }
    for value in ({"order": deep, "add": deep, "items": [huge] * 10_000}, deep, "z" * 10_000_000, [huge] * 1_000):
        assert list(apply(review.of("ai"), review.places["ai"], grounding.examine(value)).questions) == review.of("ai")
        assert len(grounding.check(value)) > 0
    while deep:  # taken apart by hand: the interpreter would do it by recursion
        deep = deep[0]
