"""What leaves the house: visible, bounded, and without what a model has no need of."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.review.assist.cleaning import clean, hides


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("one\n\ttwo\r\n three\x00\x1b[31m four", "one two three [31m four"),
        ("in\u200bvis\u2060ible \u202eturned\u202c", "invisible turned"),
        ("tag\U000e0069\U000e0067 and selector\ufe0f\U000e0101", "tag and selector"),
        ("ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("a lone \ud800 surrogate", "a lone surrogate"),
        ("ask jane.doe+x@clinic.example.org for it", "ask [e-mail] for it"),
        ("call +49 30 1234 5678 or 0301-234-5678", "call [number] or [number]"),
        ("card 4111 1111 1111 1111 declined", "card [number] declined"),
        ("key sk9f8g7h6j5k4l3m2n1b0v9c8x7z6 leaked", "key [code] leaked"),
        ("see https://example.com/a?token=abc#frag now", "see https://example.com/a now"),
        ("4,000 shops, 15,000,000 records, 2019-2023, 3.5 %", "4,000 shops, 15,000,000 records, 2019-2023, 3.5 %"),
        ("Kommunikationsinfrastrukturverwaltung stays", "Kommunikationsinfrastrukturverwaltung stays"),
    ],
)
def test_what_is_sent_of_a_text(text, sent):
    assert clean(text, 200) == sent


def test_a_long_text_is_cut_at_a_word_and_says_so():
    assert clean("some words " * 100, 50) == "some words some words some words some words some…"
    assert clean("x" * 100, 10) == "xxxxxxxxx…"


@given(st.text(), st.integers(2, 300))
def test_a_cleaned_text_is_one_bounded_line_of_visible_characters(text, longest):
    line = clean(text, longest)
    assert len(line) <= longest
    assert all(unicodedata.category(ch) not in {"Cc", "Cf", "Cs", "Co", "Cn"} for ch in line)
    line.encode()


def test_a_huge_text_is_looked_at_in_part():
    assert len(clean("a@b " * 3_000_000, 240)) <= 240


@pytest.mark.parametrize("hidden", ["\u200b", "\u202e", "\u2066", "\U000e0041"])
def test_hidden_characters_are_noticed(hidden):
    assert hides(f"plain{hidden} text")
    assert not hides("plain text – with dashes, “quotes” and עברית")
