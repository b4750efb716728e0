"""The words by which people name things: the real file."""

from collections import Counter

import pytest

from sengol_api.adapters.catalogue_files import load_vocabulary
from sengol_api.review.vocabulary import fold

VOCABULARY = load_vocabulary()


@pytest.mark.parametrize("group", VOCABULARY.terms)
def test_no_name_stands_for_two_codes(group):
    names = Counter(
        name
        for term in VOCABULARY.terms[group]
        for name in {fold(n) for n in (term.code, term.label, *term.aliases, *term.ambiguous)}
    )
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("group", VOCABULARY.terms)
def test_wider_codes_are_codes_of_the_group(group):
    codes = {term.code for term in VOCABULARY.terms[group]}
    assert {wider for term in VOCABULARY.terms[group] for wider in term.within} <= codes


@pytest.mark.parametrize("group", VOCABULARY.terms)
def test_an_empty_text_mentions_nothing(group):
    assert VOCABULARY.mentioned(group, "") == frozenset()
    assert VOCABULARY.mentioned(group, "We said it is fine, and so did they.") == frozenset()


@pytest.mark.parametrize(
    ("prose", "code", "mentioned"),
    [
        ("It sends an e-mail.", "ml-model", False),
        ("It sends an e-mail.", "email", True),
        ("Documents are kept in S3 buckets.", "object-storage", True),
        ("A plan for the class", "ot-ics", False),
        ("Answers come from GPT-4o.", "llm", True),
        ("It runs on Kubernetes (EKS).", "kubernetes", True),
        ("Retrieval-augmented answers", "rag", True),
        ("Our agents in the call centre", "agent", False),
    ],
)
def test_technology_is_read_out_of_prose_with_care(prose, code, mentioned):
    assert (code in VOCABULARY.mentioned("tech", prose)) is mentioned


def test_every_country_of_the_eu_brings_the_eu():
    members = [term for term in VOCABULARY.terms["jurisdictions"] if "EU" in term.within and term.code != "GLOBAL"]
    assert len(members) == 27


@pytest.mark.parametrize("prose", ["a public website", "employees at any location", "a financial plan"])
def test_words_of_every_description_are_no_kind_of_data(prose):
    assert VOCABULARY.mentioned("dataTypes", prose) == frozenset()
