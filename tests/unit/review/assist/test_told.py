"""Numbers, names and words: what a text says, and what the data say."""

import pytest

from sengol_api.review.assist.told import Told, content, denials, names, numbers, of_incident, ordinary
from support.builders import make_incident

KNOWN = ordinary(["patients talk to the chatbot about records"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("4,000 shops and 4000 others", {"4000"}),
        ("1,234,567 records in 2023", {"1234567", "2023"}),
        ("3.5 % of it", {"3.5", "percent"}),
        ("within 072 hours", {"72"}),
        ("GPT-4o and S3", {"4", "3"}),
        ("three hospitals, twenty clinics, thousands of patients, half of them", {"3", "20", "thousand", "half"}),
        ("one of them", set()),
        ("no number", set()),
    ],
)
def test_the_numbers_of_a_text(text, found):
    assert numbers(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Patients talk to the chatbot.", set()),
        ("Contoso runs the chatbot.", {"contoso"}),
        ("Patients talk. Contoso listens.", {"contoso"}),
        ("The chatbot of Contoso's runs on AWS and PostgreSQL.", {"contoso", "aws", "postgresql"}),
        ("the chatbot gpt4 of contoso", {"gpt4"}),
        ("LLMs and APIs", {"llm", "api"}),
        ("records of 2023", set()),
    ],
)
def test_the_names_in_a_text(text, found):
    assert names(text, KNOWN) == found


def test_a_name_is_known_in_any_case_and_number():
    told = Told.by("The LLM of Contoso answers.")
    assert names("Our LLMs, by CONTOSO.", KNOWN | {"our"}) <= told.names


def test_words_that_carry_meaning_are_compared_by_their_stem():
    assert (
        content("The patients' records are encrypted") == content("patient, record; encryption") == {"patien", "record", "encryp"}
    )


def test_what_a_text_denies():
    assert denials("a plain sentence") == []
    [one] = denials("limits so that a breach of suppliers does not reach the records of patients")
    assert {"suppli", "reach", "record"} <= one
    assert len(denials("no log, never a leak, without a trace, cannot be, isn't")) == 5


def test_an_incident_tells_its_figures_and_of_its_date_the_year():
    told = of_incident(make_incident(date="2023-03-24", cost=1_500_000.0, records_affected=4000, organization="Contoso"))
    assert {"2023", "1500000", "4000"} <= numbers(told)
    assert "24" not in numbers(told)
    assert "Contoso" in told
