"""Finding each question's own incidents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.review.corpus import Corpus
from sengol_api.review.ports import Hit
from sengol_api.review.retrieval import (
    MATCHES,
    MEASURED,
    Match,
    distribute,
    fuse,
    match,
    mean_jaccard,
    same_event,
)
from support.builders import make_area, make_facts, make_incident

BETWEEN = (MEASURED.weak + MEASURED.strong) / 2
rankings = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8).map(lambda ids: [Hit(key, 1.0) for key in ids])


def hits(*ids):
    return [Hit(key, 1.0) for key in ids]


def find(incidents, *, semantic=(), lexical=None, similarity=None, area=None, facts=None):
    corpus = Corpus(incidents, version="1")
    close = {incident.id: 0.6 for incident in incidents} if similarity is None else similarity
    by_words = semantic if lexical is None else lexical
    return match(
        area or make_area(),
        facts or make_facts(),
        corpus,
        hits(*semantic),
        hits(*by_words),
        [close[key] for key in by_words],
    )


@given(rankings, rankings)
def test_the_order_of_rankings_changes_nothing(first, second):
    assert fuse([(first, 1.0), (second, 1.0)]).keys() == fuse([(second, 1.0), (first, 1.0)]).keys()
    assert fuse([(first, 1.0), (second, 1.0)]) == fuse([(second, 1.0), (first, 1.0)])


@given(rankings)
def test_a_better_rank_scores_higher(ranking):
    scores = fuse([(ranking, 1.0)])
    assert sorted(scores, key=scores.get, reverse=True) == [hit.id for hit in ranking]


def test_what_two_searches_find_stands_before_what_one_finds():
    scores = fuse([(hits("x", "both"), 1.0), (hits("y", "both"), 1.0)])
    assert scores["both"] > scores["x"] == scores["y"]


def test_an_incident_that_is_close_in_meaning_and_in_words_is_evidence():
    assert [m.incident.id for m in find([make_incident("a")], semantic=["a"], similarity={"a": MEASURED.strong})] == ["a"]


def test_an_incident_told_in_other_words_is_no_evidence_however_close():
    tied = make_incident("a", labels=("LLM01",))
    assert find([tied], semantic=["a"], lexical=[], area=make_area(labels=("LLM01",))) == []


def test_an_incident_that_is_only_fairly_close_needs_a_tie_to_the_area():
    similarity = {"a": BETWEEN}
    assert find([make_incident("a")], semantic=["a"], similarity=similarity) == []
    assert find([make_incident("a", labels=("LLM01",))], semantic=["a"], similarity=similarity, area=make_area(labels=("LLM01",)))
    assert find(
        [make_incident("a", attack_type="phishing")],
        semantic=["a"],
        similarity=similarity,
        area=make_area(attack_types=("phishing",)),
    )


def test_an_incident_that_is_far_is_no_evidence_whatever_its_labels():
    incident = make_incident("a", labels=("LLM01",))
    area = make_area(labels=("LLM01",))
    assert find([incident], semantic=["a"], lexical=["a"], similarity={"a": MEASURED.weak - 0.01}, area=area) == []


def test_an_id_that_the_corpus_has_not_is_left_out():
    assert find([make_incident("a")], semantic=["gone", "a"], similarity={"gone": 0.9, "a": 0.9})[0].incident.id == "a"


def test_every_match_says_why():
    area = make_area(labels=("LLM01", "no-mfa"), label_names={"LLM01": "prompt injection"}, attack_types=("prompt-injection",))
    incident = make_incident("a", labels=("LLM01",), tags=("no-mfa",), attack_type="prompt-injection", industry="finance")
    [found] = find([incident], semantic=["a"], lexical=["a"], area=area, facts=make_facts(industry="finance"))
    assert found.reasons == (
        "labelled prompt injection (LLM01), no mfa",
        "same kind of attack: prompt injection",
        "same industry: finance",
        "its text is close to this risk",
    )
    [plain] = find([make_incident("a")], semantic=["a"])
    assert plain.reasons == ("its text is close to this risk",)


def test_an_incident_of_the_same_industry_stands_first_among_equals():
    incidents = [make_incident("a"), make_incident("b", industry="finance")]
    found = find(incidents, semantic=["a", "b"], facts=make_facts(industry="finance"))
    assert [m.incident.id for m in found] == ["b", "a"]


def test_a_headline_without_a_story_stands_behind_a_told_incident():
    incidents = [make_incident("a", text="Too short."), make_incident("b")]
    assert [m.incident.id for m in find(incidents, semantic=["a", "b"])] == ["b", "a"]


def test_a_study_stands_behind_an_event_and_says_what_it_is():
    found = find([make_incident("a", kind="study"), make_incident("b")], semantic=["a", "b"])
    assert [m.incident.id for m in found] == ["b", "a"]
    assert "shown by a study, not by an event" in found[1].reasons
    assert "shown by a study, not by an event" not in found[0].reasons


def test_similarities_are_kept_within_0_and_1():
    found = find([make_incident("a"), make_incident("b")], semantic=["a", "b"], similarity={"a": 1.0000001, "b": -0.2})
    assert [m.similarity for m in found] == [1.0]


def test_evidence_is_bounded():
    incidents = [make_incident(f"i{n:03}") for n in range(MATCHES + 20)]
    assert len(find(incidents, semantic=[i.id for i in incidents])) == MATCHES


matches_of = st.lists(st.sampled_from("abcdefghijkl"), unique=True, max_size=12).map(
    lambda ids: [Match(make_incident(key), 0.5, 1.0, ("because",)) for key in ids]
)


@given(st.lists(matches_of, max_size=8))
def test_no_incident_is_shown_under_more_than_two_questions_or_twice_under_one(found):
    shown = distribute(found)
    times = {}
    for question, own in zip(found, shown, strict=True):
        ids = [m.incident.id for m in own]
        assert len(ids) == len(set(ids)) <= 5
        assert set(ids) <= {m.incident.id for m in question}
        for key in ids:
            times[key] = times.get(key, 0) + 1
    assert all(count <= 2 for count in times.values())


def test_each_question_shows_its_best_incidents_in_order():
    found = [Match(make_incident(key), 0.5, 1.0, ("because",)) for key in "abcdefg"]
    assert [m.incident.id for m in distribute([found])[0]] == list("abcde")


def test_questions_take_turns_so_that_none_takes_all_the_good_ones():
    same = [Match(make_incident(key), 0.5, 1.0, ("because",)) for key in "abcdef"]
    shown = distribute([same, same, same])
    assert all(len(own) >= 4 for own in shown)


def test_what_other_questions_show_already_counts_and_stays():
    same = [Match(make_incident(key), 0.5, 1.0, ("because",)) for key in "abcdef"]
    beside = [same[:2], same[:2]]
    assert [m.incident.id for m in distribute([same], beside)[0]] == list("cdef")
    assert beside == [same[:2], same[:2]]


def test_one_event_told_by_two_sources_is_shown_once():
    twice = [Match(make_incident(key, title="The same EVENT"), 0.5, 1.0, ("because",)) for key in "ab"]
    assert len(distribute([twice])[0]) == 1


SAMSUNG = "Samsung employees leak sensitive data to ChatGPT"


@pytest.mark.parametrize(
    ("other", "date", "same"),
    [
        ("Samsung employees leak source code via ChatGPT", "2023-04", True),
        ("Samsung employees leak source code via ChatGPT", None, True),
        ("Samsung employees leak source code via ChatGPT", "2024-04", False),
        ("Samsung bans chatbots", "2023", False),
        ("Employees of a bank leak sensitive records", "2023", False),
        (SAMSUNG.upper(), "2025", True),
        ("ChatGPT", "2023", False),
    ],
)
def test_two_entries_tell_of_one_event_when_title_and_year_say_so(other, date, same):
    one, two = make_incident("a", title=SAMSUNG, date="2023"), make_incident("b", title=other, date=date)
    assert same_event(one, two) is same_event(two, one) is same
    assert len(distribute([[Match(one, 0.5, 1.0, ()), Match(two, 0.5, 1.0, ())]])[0]) == (1 if same else 2)


def test_the_overlap_of_questions_is_0_for_disjoint_and_1_for_equal_sets():
    assert mean_jaccard([frozenset("ab"), frozenset("cd")]) == 0
    assert mean_jaccard([frozenset("ab"), frozenset("ab")]) == 1
    assert mean_jaccard([frozenset("ab"), frozenset("bc")]) == 1 / 3
    assert mean_jaccard([frozenset()]) == mean_jaccard([]) == 0
