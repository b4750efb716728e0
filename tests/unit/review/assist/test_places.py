"""What a model may add is settled before it is asked, by arithmetic."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.review.area import DOMAINS
from sengol_api.review.assist.places import MARGIN, OFFERED, ONE_IN, places, spare
from sengol_api.review.question import Regulation, build
from sengol_api.review.selection import Fit, select
from support.builders import TODAY, make_area, make_facts, make_vocabulary


def rated(*scores, domain="ai"):
    return [(make_area(f"{domain}.a{number:02}"), Fit(score)) for number, score in enumerate(scores)]


def ids(pairs):
    return [area.id for area, _ in pairs]


def made(identity, weight):
    question = build(
        make_area(identity), Fit(0.5), make_facts(), (), industry=0.5, regimes={}, vocabulary=make_vocabulary(), as_of=TODAY
    )
    return replace(question, final_weight=weight)


def test_the_next_best_areas_are_spare_as_far_as_they_are_hardly_worse():
    known = rated(0.9, 0.8, 0.7, 0.8 - MARGIN, 0.64)
    assert ids(spare(known, known[:2])) == ["ai.a02", "ai.a03"]


def test_at_most_four_of_a_domain_are_spare_and_ties_go_by_id():
    known = rated(*[0.8] * 10)
    assert ids(spare(known[::-1], known[:2])) == ["ai.a02", "ai.a03", "ai.a04", "ai.a05"]


def test_a_domain_without_questions_has_none_to_spare():
    assert spare(rated(0.9, 0.8), []) == []


ASKED = [made(f"ai.a{n:02}", round(0.5 + n / 100, 4)) for n in range(20)]
FITS = {question.id: 1.0 - n / 100 for n, question in enumerate(ASKED)}


def test_one_question_in_ten_may_have_to_go_the_worst_fitting_first():
    found = places(ASKED, [made("ai.s1", 0.9), made("ai.s2", 0.9), made("ai.s3", 0.9)], FITS, {"ai": 20})["ai"]
    assert found.yielding == ("ai.a19", "ai.a18")
    assert found.limit == 2
    assert len(found.offered) == 3


def test_only_what_weighs_more_than_all_that_may_go_is_offered():
    found = places(ASKED, [made("ai.s1", 0.69), made("ai.s2", 0.7), made("ai.s3", 0.68)], FITS, {"ai": 20})["ai"]
    assert [question.id for question in found.offered] == ["ai.s2"]
    assert (found.yielding, found.limit) == (("ai.a19",), 1)


@pytest.mark.parametrize("count", [0, 1, 9])
def test_of_fewer_than_ten_questions_none_has_to_go(count):
    found = places(ASKED[:count], [made("ai.s1", 0.9)], FITS, {"ai": count})["ai"]
    assert (found.offered, found.yielding, found.limit) == ((), (), 0)


def test_a_compliance_question_that_binding_law_asks_for_never_makes_room():
    law = Regulation("gdpr", "GDPR", "Art. 32", "Security", "binding", "https://example.com")
    for domain, goes in (("compliance", ("compliance.a00",)), ("ai", ("ai.a09",))):
        asked = [made(f"{domain}.a{n:02}", 0.5) for n in range(10)]
        asked = [replace(question, regulations=(law,)) if question.id[-1] != "0" else question for question in asked]
        fits = {question.id: 1.0 - n / 100 for n, question in enumerate(asked)}
        assert places(asked, [made(f"{domain}.s1", 0.9)], fits, {domain: 10})[domain].yielding == goes


def test_nobody_goes_while_places_are_free():
    found = places(ASKED, [made("ai.s1", 0.1), made("ai.s2", 0.2)], FITS, {"ai": 21})["ai"]
    assert (found.yielding, found.limit, len(found.offered)) == ((), 1, 2)


@given(st.lists(st.floats(0, 1), max_size=40), st.integers(0, 30), st.lists(st.floats(0, 1), max_size=6))
def test_whatever_the_weights_what_comes_weighs_more_than_what_goes(scores, quota, weights):
    known = rated(*scores)
    chosen = select(known, {"ai": quota})
    asked = [made(area.id, fit.score) for area, fit in chosen]
    assert len(spare(known, chosen)) <= OFFERED
    found = places(asked, [made(f"ai.s{n}", w) for n, w in enumerate(weights)], {a.id: f.score for a, f in chosen}, {"ai": quota})
    weight = {question.id: question.final_weight for question in asked}
    assert found.keys() == set(DOMAINS)
    assert len(found["ai"].yielding) <= len(asked) // ONE_IN
    assert found["ai"].limit <= len(found["ai"].offered)
    assert len(asked) - len(found["ai"].yielding) + found["ai"].limit <= quota
    for question in found["ai"].offered:
        assert all(question.final_weight > weight[key] for key in found["ai"].yielding)
