"""How much a question weighs."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sengol_api.review import weights
from sengol_api.review.incident import SEVERITY_WEIGHT
from support.builders import make_incident

unit = st.floats(0, 1)
severities = st.sampled_from(sorted(SEVERITY_WEIGHT))
evidence_lists = st.lists(st.tuples(severities, unit), max_size=30)


def weigh(pairs):
    """Evidence of incidents with these severities and similarities."""
    return weights.weigh_evidence([(make_incident(severity=severity), similarity) for severity, similarity in pairs])


def test_without_an_incident_evidence_is_neutral():
    assert weigh([]).weight == 0.5


def test_the_evidence_weight_is_the_printed_formula():
    evidence = weigh([("high", 0.6), ("critical", 0.5), ("medium", 0.4), ("low", 0.3), ("unknown", 0.2), ("low", 0.1)])
    assert evidence.similarity == pytest.approx((0.6 + 0.5 + 0.4 + 0.3 + 0.2) / 5)
    assert evidence.severity == pytest.approx((1 + 0.75 + 0.5 + 0.5 + 0.25) / 5)
    assert evidence.weight == 0.5  # 0.4*6/20 + 0.3*0.4 + 0.3*0.6 = 0.42, and never below none at all
    strong = weigh([("critical", 0.9)] * 20)
    assert strong.weight == pytest.approx(0.4 + 0.3 * 0.9 + 0.3)


def test_an_incident_that_is_missing_among_the_five_counts_zero():
    evidence = weigh([("critical", 0.9)])
    assert (evidence.similarity, evidence.severity) == (pytest.approx(0.9 / 5), pytest.approx(1 / 5))


@example([("critical", 1.0)], "low", 0.25)
@example([("critical", 0.9)] * 4, "low", 0.0)
@given(evidence_lists, severities, unit)
def test_one_more_incident_never_lowers_a_weight(pairs, severity, similarity):
    assert weigh([*pairs, (severity, similarity)]).weight >= weigh(pairs).weight


@given(evidence_lists.filter(bool), st.data())
def test_a_worse_or_closer_incident_never_lowers_a_weight(pairs, data):
    at = data.draw(st.integers(0, len(pairs) - 1))
    severity, similarity = pairs[at]
    worse = data.draw(severities.filter(lambda other: SEVERITY_WEIGHT[other] >= SEVERITY_WEIGHT[severity]))
    closer = data.draw(st.floats(similarity, 1))
    changed = [*pairs[:at], (worse, closer), *pairs[at + 1 :]]
    assert weigh(changed).weight >= weigh(pairs).weight


@given(evidence_lists, st.randoms())
def test_the_order_of_incidents_changes_nothing(pairs, random):
    shuffled = list(pairs)
    random.shuffle(shuffled)
    assert weigh(shuffled) == weigh(pairs)


@given(st.sampled_from(["risk", "compliance"]), unit, evidence_lists, unit, st.sampled_from(["low", "medium", "high", "critical"]))
def test_every_number_lies_between_0_and_1(part, base, pairs, industry, criticality):
    evidence = weigh(pairs)
    shown = weights.base_weight(base, criticality)
    final = weights.final_weight(part, shown, evidence.weight, industry)
    for value in (shown, evidence.weight, evidence.similarity, evidence.severity, final, weights.confidence(evidence, shown)):
        assert 0 <= value <= 1


@pytest.mark.parametrize(
    ("part", "due"), [("risk", 0.5 * 0.8 + 0.3 * 0.6 + 0.2 * 0.4), ("compliance", 0.6 * 0.8 + 0.25 * 0.6 + 0.15 * 0.4)]
)
def test_the_final_weight_recomputes_from_its_parts(part, due):
    assert weights.final_weight(part, 0.8, 0.6, 0.4) == pytest.approx(due, abs=1e-4)


@pytest.mark.parametrize("part", ["risk", "compliance"])
def test_the_printed_formula_has_the_shares_that_are_used(part):
    printed = weights.FORMULAS[f"{part}Weight"]
    for share, name in zip(weights.MIX[part], ("baseWeight", "evidenceWeight", "industryWeight"), strict=True):
        assert f"{share}*{name}" in printed
    assert sum(weights.MIX[part]) == pytest.approx(1)


@given(unit)
def test_a_more_critical_system_never_weighs_less(base):
    shifted = [weights.base_weight(base, criticality) for criticality in ("low", "medium", "high", "critical")]
    assert shifted == sorted(shifted)


@pytest.mark.parametrize(
    ("weight", "word"),
    [
        (1, "critical"),
        (0.85, "critical"),
        (0.8499, "high"),
        (0.7, "high"),
        (0.6999, "medium"),
        (0.5, "medium"),
        (0.4999, "low"),
        (0, "low"),
    ],
)
def test_priorities_begin_where_they_are_said_to(weight, word):
    assert weights.priority(weight) == word


def test_an_unknown_industry_is_neutral():
    assert weights.industry_weight([make_incident(industry="finance")], None, 0.2) == 0.5
    assert weights.industry_weight([make_incident(industry="finance")], "finance", 0.0) == 0.5
    assert weights.industry_weight([make_incident(industry=None)], "finance", 0.2) == 0.5


def test_an_area_that_falls_on_an_industry_weighs_more_there_and_less_elsewhere():
    incidents = [make_incident(industry="finance")] * 20
    assert weights.industry_weight(incidents, "finance", 0.2) > 0.6
    assert weights.industry_weight(incidents, "retail", 0.2) < 0.4


def test_an_area_with_the_mix_of_the_corpus_is_neutral():
    incidents = [make_incident(industry="finance")] * 2 + [make_incident(industry="retail")] * 8
    assert weights.industry_weight(incidents, "finance", 0.2) == pytest.approx(0.5)


@given(st.integers(0, 40), st.integers(0, 40), st.floats(0.001, 1))
def test_one_more_incident_of_the_industry_never_lowers_its_weight(own, others, share):
    incidents = [make_incident(industry="finance")] * own + [make_incident(industry="retail")] * others
    before = weights.industry_weight(incidents, "finance", share)
    after = weights.industry_weight([*incidents, make_incident(industry="finance")], "finance", share)
    assert 0 <= before <= after <= 1
