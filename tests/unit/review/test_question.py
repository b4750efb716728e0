"""A question and the sentences that explain it."""

import datetime as dt
import re
from dataclasses import replace

import pytest

from sengol_api.review import weights
from sengol_api.review.area import ClauseRef
from sengol_api.review.question import Regulation, build, explanation, importance, part_of, regulations
from sengol_api.review.regime import Clause
from sengol_api.review.retrieval import Match
from sengol_api.review.selection import Fit
from support.builders import TODAY, make_area, make_facts, make_incident, make_regime, make_vocabulary


def make(area=None, matches=(), **fields):
    told = {"industry": 0.5, "regimes": {"gdpr": make_regime()}, "vocabulary": make_vocabulary(), "as_of": TODAY}
    facts = fields.pop("facts", make_facts())
    return build(area or make_area(), Fit(1.0), facts, matches, **{**told, **fields})


def test_the_id_of_a_question_is_the_id_of_its_area():
    assert make().id == make().id == "ai.injection"


@pytest.mark.parametrize(
    ("identity", "part"), [("ai.x", "risk"), ("cyber.x", "risk"), ("cloud.x", "risk"), ("compliance.x", "compliance")]
)
def test_the_final_weight_recomputes_from_what_is_shown(identity, part):
    matches = [Match(make_incident(str(n), severity="critical"), 0.8, 1.0, ("because",)) for n in range(20)]
    question = make(make_area(identity), matches)
    assert part_of(question.domain) == part
    shown = (question.base_weight, question.evidence_weight, question.industry_weight)
    assert question.final_weight == weights.final_weight(part, *shown)
    assert question.priority == weights.priority(question.final_weight)


def test_without_incidents_the_explanation_says_so():
    question = make()
    assert "no incident of the corpus matches" in question.explanation
    assert question.evidence_weight == 0.5


def test_the_explanation_holds_every_number_of_the_sum():
    evidence = weights.Evidence(1, 0.25, 0.75)
    text = explanation("risk", 0.8, evidence, 0.4, weights.final_weight("risk", 0.8, evidence.weight, 0.4))
    assert "1 matching incident, similarity 0.25, severity 0.75" in text
    assert "never below" in explanation("risk", 0.8, weights.Evidence(1, 0.1, 0.1), 0.4, 0.63)
    assert "never below" not in explanation("risk", 0.8, weights.Evidence(20, 0.5, 0.9), 0.4, 0.63)
    numbers = re.findall(r"([\d.]+)×([\d.]+)", text)
    assert sum(float(a) * float(b) for a, b in numbers) == pytest.approx(float(text.rpartition("= ")[2]), abs=0.006)


def test_only_clauses_of_regimes_that_apply_are_shown():
    area = make_area(clauses=(ClauseRef("gdpr", "Art. 32"), ClauseRef("hipaa", "§164.312(a)")))
    assert [r.id for r in regulations(area, {"gdpr": make_regime()}, make_facts(), TODAY)] == ["gdpr"]
    assert regulations(area, {}, make_facts(), TODAY) == ()


def test_a_clause_for_some_only_is_shown_where_the_description_names_them():
    clause = Clause(id="Art. 55", title="Models with systemic risk", mentions=("our own language model",))
    act = {"act": make_regime("act", clauses=(clause,))}
    area = make_area(clauses=(ClauseRef("act", "Art. 55"),))
    told = make_facts(description="We offer our own language model to others.")
    assert [r.clause for r in regulations(area, act, told, TODAY)] == ["Art. 55"]
    assert regulations(area, act, make_facts(description="A chatbot on a hosted model."), TODAY) == ()
    assert regulations(area, act, make_facts(description="This is not our own language model."), TODAY) == ()


def test_binding_clauses_stand_before_upcoming_and_voluntary_ones():
    later = Clause(id="Art. 6", title="High risk", effective_from=TODAY + dt.timedelta(days=1))
    regimes = {
        "a-standard": make_regime("a-standard", kind="standard"),
        "b-law": make_regime("b-law", clauses=(later,)),
        "c-law": make_regime("c-law"),
    }
    area = make_area(clauses=tuple(ClauseRef(*pair) for pair in [("a-standard", "1"), ("b-law", "Art. 6"), ("c-law", "Art. 32")]))
    found = regulations(area, regimes, make_facts(), TODAY)
    assert [(r.id, r.status) for r in found] == [("c-law", "binding"), ("b-law", "upcoming"), ("a-standard", "voluntary")]
    assert [r.title for r in found] == ["Security", "High risk", ""]


def reason(fit=None, *, found=(), matches=(), weight=0.5, industry=None):
    return importance(fit or Fit(1.0), make_facts(industry=industry), found, matches, weight, make_vocabulary())


def case(identity, **fields):
    return Match(make_incident(identity, **fields), 0.5, 1.0, ("because",))


BINDING = Regulation("gdpr", "GDPR", "Art. 32", "Security", "binding", "https://example.com")


def test_the_reason_names_what_the_system_and_the_area_have_in_common():
    text = reason(Fit(1.0, tech=("llm",), data=("phi", "pii")), found=[BINDING])
    assert text == (
        "Asked of this system because it uses a large language model; it handles health data and personal data; "
        "GDPR asks for the control."
    )


def test_more_than_three_names_are_counted():
    laws = [replace(BINDING, name=name) for name in ("DORA", "GDPR", "HIPAA", "NIS2", "PCI DSS")]
    assert "DORA, GDPR, HIPAA and 2 more ask for the control" in reason(found=laws)


@pytest.mark.parametrize(
    ("industries", "says"),
    [
        (["healthcare", None, "technology"], "1 of the 3 incidents behind it happened in the healthcare sector"),
        (["healthcare", "healthcare"], "all incidents behind it happened in the healthcare sector"),
        (["healthcare"], "the incident behind it happened in the healthcare sector"),
        ([None, "technology"], "such incidents are frequent in the healthcare sector"),
    ],
)
def test_the_reason_says_of_the_industry_what_the_incidents_say(industries, says):
    matches = [case(str(number), industry=industry) for number, industry in enumerate(industries)]
    text = reason(Fit(1.0, industry=True), matches=matches, weight=0.7, industry="healthcare")
    assert text == f"Asked of this system because {says}."


@pytest.mark.parametrize(("matches", "weight"), [([], 0.9), ([case("a")], 0.5)])
def test_an_industry_is_no_reason_without_incidents_that_say_so(matches, weight):
    assert "sector" not in reason(Fit(1.0, industry=True), matches=matches, weight=weight, industry="healthcare")


def test_a_standard_is_no_reason_to_ask():
    voluntary = Regulation("iso-27001", "ISO 27001", "A.8.26", "", "voluntary", "https://example.com")
    assert "ISO" not in reason(found=[voluntary])


def test_words_of_the_description_are_a_reason_of_last_resort():
    assert "“prompt”" in reason(Fit(1.0, words=("prompt",)))
    assert "“prompt”" not in reason(Fit(1.0, words=("prompt",), tech=("llm",)))
    assert reason().startswith("Asked of systems of every kind")


def test_a_question_made_without_a_model_says_so():
    assert make().generated_from == "evidence"


def test_a_more_critical_system_weighs_more():
    assert make(facts=make_facts(criticality="critical")).final_weight > make(facts=make_facts(criticality="low")).final_weight
