"""From what was said to what is known."""

from sengol_api.review.facts import ReviewRequest, hints, normalise
from support.builders import make_vocabulary


def facts(*products, **fields):
    said = {"description": "A portal.", "domains": frozenset({"ai"})}
    return normalise(ReviewRequest(**{**said, **fields}), make_vocabulary(), products)


def test_values_become_codes():
    known = facts(jurisdictions=frozenset({"Germany"}), industry="Hospital", data_types=frozenset({"Medical Records"}))
    assert (known.jurisdictions, known.industry, known.data_types) == ({"DE", "EU"}, "healthcare", {"phi"})
    assert known.unrecognised == ()


def test_technology_is_declared_or_mentioned():
    assert facts(description="Backed by GPT-4.", tech=frozenset({"s3"})).tech == {"llm", "object-storage"}


def test_mentioned_data_is_kept_apart_from_declared_data():
    known = facts(description="It reads medical records and personal data.", data_types=frozenset({"pii"}))
    assert (known.data_types, known.mentioned_data, known.all_data) == ({"pii"}, {"phi"}, {"pii", "phi"})


def test_what_is_not_understood_is_reported_and_not_dropped():
    known = facts(jurisdictions=frozenset({"Mars", "Atlantis"}), data_types=frozenset({"dreams"}), industry="alchemy")
    assert known.unrecognised == (
        ("jurisdictions", "Atlantis"),
        ("jurisdictions", "Mars"),
        ("dataTypes", "dreams"),
        ("industry", "alchemy"),
    )
    assert known.industry is None


def test_names_of_products_are_kept_for_their_advisories():
    assert facts(tech=frozenset({"Log4j", "S3"})).products == {"log4j", "s3"}


def test_technology_that_is_neither_a_word_nor_a_product_of_ours_is_reported():
    known = facts("log4j", tech=frozenset({"S3, Log4j", "Frobnicator"}))
    assert known.unrecognised == (("techStack", "Frobnicator"),)
    assert known.products >= {"log4j", "frobnicator"}


def test_what_the_description_denies_is_no_fact():
    known = facts(description="There is no GPT-4 in it. It does not read medical records, and works without personal data.")
    assert (known.tech, known.mentioned_data) == (frozenset(), frozenset())


def test_what_was_left_out_for_want_of_a_word_is_told():
    [places, data, industry] = hints(facts(description="It reads medical records."))
    assert "jurisdictions" in places
    assert "(phi)" in data
    assert "industry" in industry
    told = facts(
        description="It reads medical records.",
        jurisdictions=frozenset({"EU"}),
        industry="hospital",
        data_types=frozenset({"phi"}),
    )
    assert hints(told) == ()
