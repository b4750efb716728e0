"""The words by which people name things."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.adapters.catalogue_files import load_vocabulary
from sengol_api.review.vocabulary import affirmed, fold
from support.builders import make_vocabulary


@pytest.mark.parametrize("name", ["object-storage", "Object Storage", "object_storage", "  OBJECT   storage ", "S3"])
def test_a_value_is_understood_however_it_is_written(name):
    assert make_vocabulary().resolve("tech", name).code == "object-storage"


def test_a_value_that_means_nothing_is_none():
    assert make_vocabulary().resolve("tech", "flux capacitor") is None
    assert make_vocabulary().resolve("industries", "llm") is None
    assert make_vocabulary().resolve("tech", "") is None


def test_a_country_brings_the_union_that_it_belongs_to():
    codes, unknown = make_vocabulary().resolve_all("jurisdictions", ["Germany", "Atlantis", "Mars"])
    assert codes == {"DE", "EU"}
    assert unknown == ("Atlantis", "Mars")


def test_ambiguous_words_are_values_and_never_prose():
    vocabulary = make_vocabulary()
    assert vocabulary.resolve("jurisdictions", "US").code == "US"
    assert vocabulary.resolve("industries", "IT").code == "technology"
    assert vocabulary.mentioned("jurisdictions", "Call us, de facto, in the EU") == frozenset()
    assert vocabulary.mentioned("industries", "It is what it is") == frozenset()


@pytest.mark.parametrize("prose", ["We send email.", "gmail maintains", "class3 s33", "It has an artificial s-3."])
def test_parts_of_words_are_no_mention(prose):
    assert make_vocabulary().mentioned("tech", prose) == frozenset()


@pytest.mark.parametrize(
    ("prose", "code"),
    [
        ("Documents lie in S3.", "object-storage"),
        ("(object-storage)", "object-storage"),
        ("two large language\nmodels", "llm"),
        ("GPT-4 answers", "llm"),
        ("gpt 4 answers", "llm"),
        ("based on Machine Learning", "ml-model"),
    ],
)
def test_whole_words_are_mentions_in_any_case_and_number(prose, code):
    assert make_vocabulary().mentioned("tech", prose) == {code}


def test_a_code_has_a_label_and_an_unknown_code_is_shown_as_it_is():
    assert make_vocabulary().label("dataTypes", "phi") == "health data"
    assert make_vocabulary().label("dataTypes", "zzz") == "zzz"


@given(st.text())
def test_folding_twice_changes_nothing(text):
    assert fold(fold(text)) == fold(text)


@given(st.lists(st.sampled_from(["Germany", "US", "usa", "EU", "Mars", "Germany"])), st.randoms())
def test_neither_order_nor_repetition_means_anything(names, random):
    vocabulary = make_vocabulary()
    before = vocabulary.resolve_all("jurisdictions", names)
    random.shuffle(names)
    assert vocabulary.resolve_all("jurisdictions", [*names, *names]) == before


@pytest.mark.parametrize(
    ("prose", "left"),
    [
        ("There is no chatbot. It has a portal.", "There is ;. It has a portal."),
        ("It never stores any card numbers; it reads mail", "It ;; it reads mail"),
        ("It doesn't use a language model", "It does;"),
        ("Not public and holds health data", "; and holds health data"),
        ("not only chatbots but agents", "not only chatbots but agents"),
        ("a no-code builder, notable, No. 1", "a no-code builder, notable, No. 1"),
    ],
)
def test_a_denial_takes_its_words_along_and_no_more(prose, left):
    assert affirmed(prose) == left


def test_several_places_in_one_value_are_all_understood():
    vocabulary = load_vocabulary()
    codes, unknown = vocabulary.resolve_all("jurisdictions", ["US, EU; Atlantis", "Germany"])
    assert codes == {"US", "EU", "DE"}
    assert unknown == ("Atlantis",)
