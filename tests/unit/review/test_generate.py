"""The main job over a small world: the laws that hold whatever the catalogue and the corpus are."""

import asyncio
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.review import weights
from sengol_api.review.area import DOMAINS
from sengol_api.review.corpus import Corpus
from sengol_api.review.facts import ReviewRequest
from sengol_api.review.question import part_of
from support.builders import make_incident
from support.toys import NOON, toy_corpus, toy_world

REQUEST = ReviewRequest(
    description="An assistant that answers patients and can be steered by hidden instructions in a document.",
    domains=frozenset(DOMAINS),
    jurisdictions=frozenset({"Germany"}),
    industry="healthcare",
)


@cache
def world():
    return asyncio.run(toy_world())


def ask(**changes):
    return asyncio.run(world().use_case()(replace(REQUEST, **changes), as_of=NOON.date()))


def by_id(generated):
    return {question.id: question for question in generated.questions}


def test_every_question_has_its_own_evidence_and_recomputes():
    generated = ask()
    assert len(generated.questions) == 7
    for question in generated.questions:
        assert question.evidence.incidents > 0
        shown = (question.base_weight, question.evidence_weight, question.industry_weight)
        assert question.final_weight == weights.final_weight(part_of(question.domain), *shown)
        assert len({m.incident.id for m in question.related}) == len(question.related) > 0
    [injection] = [q for q in generated.questions if q.id == "ai.injection"]
    assert injection.related[0].incident.id.startswith("ai.injection")


def test_questions_stand_in_the_order_of_their_weight():
    found = [question.final_weight for question in ask().questions]
    assert found == sorted(found, reverse=True)


def test_the_same_request_gives_the_same_answer():
    assert ask() == ask()


@given(st.sets(st.sampled_from(DOMAINS), min_size=1))
def test_only_selected_domains_are_asked_about(domains):
    assert {q.domain for q in ask(domains=frozenset(domains)).questions} == domains


@given(st.sets(st.sampled_from(DOMAINS), min_size=2), st.data())
def test_removing_a_domain_removes_its_questions_and_no_other(domains, data):
    gone = data.draw(st.sampled_from(sorted(domains)))
    before = by_id(ask(domains=frozenset(domains)))
    after = by_id(ask(domains=frozenset(domains - {gone})))
    assert after.keys() == {key for key, question in before.items() if question.domain != gone}
    for key in after:
        assert after[key].final_weight == before[key].final_weight


def test_adding_the_eu_adds_its_law_and_phi_in_the_us_adds_the_other():
    def names(**changes):
        return {regime.id for regime, _ in ask(**changes).regimes}

    nowhere = {"jurisdictions": frozenset()}
    assert names(**nowhere) == set()
    assert names(jurisdictions=frozenset({"EU"})) == {"gdpr"}
    assert names(jurisdictions=frozenset({"US"})) == set()
    both = {"jurisdictions": frozenset({"US"}), "data_types": frozenset({"phi"})}
    assert names(**both) == {"hipaa"}
    assert "compliance.health" in by_id(ask(**both))
    assert "compliance.health" not in by_id(ask(**nowhere))


def test_clauses_are_shown_of_the_regimes_that_apply_only():
    assert all({r.id for r in q.regulations} == {"gdpr"} for q in ask().questions)
    assert all(q.regulations == () for q in ask(jurisdictions=frozenset()).questions)


@pytest.mark.parametrize("maximum", [1, 3, 5])
def test_there_are_no_more_questions_than_asked_for(maximum):
    assert len(ask(max_questions=maximum).questions) == maximum
    assert all(sum(q.domain == domain for q in ask(questions_per_domain=1).questions) <= 1 for domain in DOMAINS)


@given(st.floats(0, 1))
def test_a_least_weight_leaves_out_lighter_questions_and_changes_no_other(least):
    everything = by_id(ask())
    kept = by_id(ask(min_weight=least))
    assert kept.keys() == {key for key, question in everything.items() if question.final_weight >= least}
    assert all(kept[key].final_weight == everything[key].final_weight for key in kept)


def test_the_order_of_the_corpus_changes_nothing():
    backwards = Corpus(reversed(list(toy_corpus().all())), version="corpus-1")
    turned = asyncio.run(asyncio.run(toy_world(backwards)).use_case()(REQUEST, as_of=NOON.date()))
    assert {q.id: q.final_weight for q in turned.questions} == {q.id: q.final_weight for q in ask().questions}
    assert turned.summary == ask().summary


def test_more_incidents_of_a_kind_never_lower_its_weight():
    corpus = toy_corpus()
    more = [
        make_incident(f"zz-{n}", title=f"Another {n}", text=corpus["cyber.phishing-1"].text, severity="critical") for n in range(6)
    ]
    larger = asyncio.run(toy_world(Corpus([*corpus.all(), *more], version="corpus-2")))
    after = by_id(asyncio.run(larger.use_case()(REQUEST, as_of=NOON.date())))
    assert after["cyber.phishing"].evidence_weight >= by_id(ask())["cyber.phishing"].evidence_weight
    assert after["cyber.phishing"].evidence.incidents > by_id(ask())["cyber.phishing"].evidence.incidents


def test_a_vulnerability_is_evidence_only_where_its_product_is_used():
    def found(**changes):
        return {m.incident.id for q in ask(**changes).questions for m in q.related} | set(ask(**changes).summary.by_type)

    with_product = ask(tech=frozenset({"PortalKit"})).incidents_found
    assert with_product == ask().incidents_found + 1
    assert "vuln-1" not in found()


def test_what_was_not_understood_is_in_the_answer():
    said = {"jurisdictions": frozenset({"Atlantis"}), "tech": frozenset({"Frobnicator", "PortalKit"})}
    assert ask(**said).facts.unrecognised == (("jurisdictions", "Atlantis"), ("techStack", "Frobnicator"))


def test_no_candidates_give_an_empty_answer_and_no_error():
    generated = ask(domains=frozenset())
    assert (generated.questions, generated.incidents_found, generated.average_similarity) == ((), 0, 0.0)


async def test_one_call_embeds_the_description_once():
    own = await toy_world()
    await own.use_case()(REQUEST, as_of=NOON.date())
    assert own.embedder.calls == [[REQUEST.description]]


async def test_progress_is_told_in_order():
    steps = []
    await (await toy_world()).use_case()(REQUEST, as_of=NOON.date(), on_progress=steps.append)
    assert [step.stage for step in steps] == ["areas", "evidence", "weights"]


async def test_requests_at_the_same_time_do_not_mix():
    own = await toy_world()
    job = own.use_case()
    requests = [replace(REQUEST, domains=frozenset({domain})) for domain in DOMAINS] * 3
    answers = await asyncio.gather(*(job(request, as_of=NOON.date()) for request in requests))
    for request, answer in zip(requests, answers, strict=True):
        assert {q.domain for q in answer.questions} == request.domains
