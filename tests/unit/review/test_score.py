"""The score of a review."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.review.score import FORMULA, POINTS, score

ANSWERS = ["addressed", "partially_addressed", "not_addressed", "not_applicable"]
weights = st.floats(0.001, 1)
risks = st.dictionaries(st.sampled_from([f"ai.{n}" for n in range(12)]), weights, max_size=12)
rules = st.dictionaries(st.sampled_from([f"compliance.{n}" for n in range(12)]), weights, max_size=12)
answers_to = st.dictionaries(
    st.sampled_from([*(f"ai.{n}" for n in range(12)), *(f"compliance.{n}" for n in range(12))]), st.sampled_from(ANSWERS)
)


def test_the_formula_by_hand():
    found = score(
        {"ai.a": 0.8, "ai.b": 0.4},
        {"compliance.a": 0.5, "compliance.b": 0.5},
        {"ai.a": "addressed", "ai.b": "not_addressed", "compliance.a": "partially_addressed", "compliance.b": "addressed"},
    )
    assert found.risk.score == pytest.approx(100 * 0.8 / 1.2, abs=1e-4)
    assert found.compliance.score == pytest.approx(75)
    assert found.score == pytest.approx(0.6 * 100 * 0.8 / 1.2 + 0.4 * 75, abs=1e-4)


@given(risks, rules)
def test_all_addressed_is_100_and_none_is_0(risk, compliance):
    everything = {**risk, **compliance}
    if not everything:
        return
    assert score(risk, compliance, dict.fromkeys(everything, "addressed")).score == 100
    assert score(risk, compliance, dict.fromkeys(everything, "not_addressed")).score == 0
    assert score(risk, compliance, {}).score == 0
    assert score(risk, compliance, dict.fromkeys(everything, "partially_addressed")).score == 50


@given(risks, rules, answers_to)
def test_a_score_lies_between_0_and_100(risk, compliance, answers):
    found = score(risk, compliance, answers)
    for value in (found.score, found.risk.score, found.compliance.score):
        assert value is None or 0 <= value <= 100


@given(risks, rules, answers_to, weights)
def test_a_question_that_is_not_applicable_changes_nothing(risk, compliance, answers, weight):
    before = score(risk, compliance, answers)
    after = score({**risk, "cyber.new": weight}, compliance, {**answers, "cyber.new": "not_applicable"})
    assert (after.score, after.risk.score) == (before.score, before.risk.score)
    assert after.risk.not_applicable == before.risk.not_applicable + 1


@given(risks.filter(bool), rules, answers_to, st.data())
def test_a_better_answer_never_lowers_the_score(risk, compliance, answers, data):
    key = data.draw(st.sampled_from(sorted(risk)))
    worse, better = data.draw(st.sampled_from([("not_addressed", "partially_addressed"), ("partially_addressed", "addressed")]))
    low = score(risk, compliance, {**answers, key: worse}).score
    high = score(risk, compliance, {**answers, key: better}).score
    assert high >= low


@given(risks, rules, answers_to, st.randoms())
def test_the_order_of_questions_and_answers_changes_nothing(risk, compliance, answers, random):
    def shuffled(mapping):
        items = list(mapping.items())
        random.shuffle(items)
        return dict(items)

    assert score(shuffled(risk), shuffled(compliance), shuffled(answers)) == score(risk, compliance, answers)


@given(risks, rules, answers_to)
def test_each_part_recomputes_from_its_terms(risk, compliance, answers):
    for part in (score(risk, compliance, answers).risk, score(risk, compliance, answers).compliance):
        total = sum(term.weight for term in part.terms)
        if part.score is None:
            assert not part.terms
        else:
            assert part.score == pytest.approx(sum(t.points * t.weight for t in part.terms) / total, abs=1e-3)


def test_a_heavier_question_counts_more():
    light = score({"ai.a": 0.2, "ai.b": 0.9}, {}, {"ai.a": "addressed"})
    heavy = score({"ai.a": 0.2, "ai.b": 0.9}, {}, {"ai.b": "addressed"})
    assert heavy.score > light.score


def test_a_part_without_applicable_questions_leaves_the_score_to_the_other():
    found = score({"ai.a": 0.5}, {"compliance.a": 0.5}, {"ai.a": "addressed", "compliance.a": "not_applicable"})
    assert found.compliance.score is None
    assert found.score == 100


def test_nothing_applicable_gives_no_score():
    assert score({}, {}, {}).score is None
    assert score({"ai.a": 0.5}, {}, {"ai.a": "not_applicable"}).score is None


def test_unanswered_questions_are_counted_as_such():
    found = score({"ai.a": 0.5, "ai.b": 0.5}, {}, {"ai.a": "addressed"})
    assert (found.risk.unanswered, found.risk.score) == (1, 50)
    assert [term.answer for term in found.risk.terms] == ["addressed", None]


def test_answers_to_other_questions_are_ignored():
    assert score({"ai.a": 0.5}, {}, {"ai.zzz": "addressed"}).score == 0


def test_the_printed_formula_names_every_answer():
    assert all(answer in FORMULA for answer in [*POINTS, "not_applicable"])
