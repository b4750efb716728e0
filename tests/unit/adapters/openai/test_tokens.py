"""Estimates of tokens, and texts cut and grouped by them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.adapters.openai.tokens import clean, cut, estimate_tokens, group, halves


def test_the_estimate_is_on_the_safe_side_for_prose_and_counts_other_scripts_by_character():
    prose = "Attackers copied the records of 2,400 patients from a storage bucket that anybody could read. " * 10
    assert len(prose) / 4 < estimate_tokens(prose) < len(prose) / 2.5
    assert estimate_tokens("漏洩" * 100) >= 200
    assert estimate_tokens("abc漏洩") == 4
    assert estimate_tokens("") == 1


@given(st.text(min_size=2).filter(lambda text: len(text.strip()) >= 2))
def test_halves_are_not_blank_and_lose_nothing_but_blanks(text):
    first, second = halves(text)
    assert first.strip()
    assert second.strip()
    assert "".join((first + second).split()) == "".join(text.split())


@pytest.mark.parametrize("text", ["x", " x ", "", "   "])
def test_what_cannot_be_halved_says_so(text):
    with pytest.raises(ValueError, match="cannot be cut"):
        halves(text)


def test_a_text_is_cut_between_words_where_that_can_be():
    words = "incident report " * 50
    assert all(part.strip().split()[0] in {"incident", "report"} for part in cut(words, 40, estimate_tokens))
    assert all(estimate_tokens(part) <= 40 for part in cut("x" * 1000, 40, estimate_tokens))
    assert list(cut("short", 40, estimate_tokens)) == ["short"]


@given(st.text(max_size=400), st.integers(2, 50))
def test_the_parts_of_a_text_hold_all_of_its_words(text, longest):
    parts = list(cut(text, longest, estimate_tokens))
    assert "".join("".join(parts).split()) == "".join(text.split())


@given(st.lists(st.integers(1, 30), max_size=60), st.integers(1, 10), st.integers(1, 60))
def test_groups_keep_order_and_limits_and_are_as_few_as_can_be(sizes, most, most_tokens):
    texts = [f"{'x' * size}" for size in sizes]
    groups = list(group(texts, most, most_tokens, len))
    assert [text for each in groups for text in each] == texts
    for each in groups:
        assert len(each) <= most
        assert sum(map(len, each)) <= most_tokens or len(each) == 1
    for before, after in itertools.pairwise(groups):
        assert len(before) == most or sum(map(len, before)) + len(after[0]) > most_tokens


def test_three_thousand_short_texts_make_two_groups():
    texts = [f"control number {number} against phishing mail" for number in range(3000)]
    assert [len(each) for each in group(texts, 2048, 300_000, estimate_tokens)] == [2048, 952]


def test_halves_of_surrogate_pairs_are_replaced():
    assert clean("ok \ud800 ok") == "ok ? ok"
    assert clean("漏洩 😀") == "漏洩 😀"
    clean("\udc00").encode()
