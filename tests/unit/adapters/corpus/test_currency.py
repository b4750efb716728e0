"""Amounts in US dollars."""

import pytest

from sengol_api.adapters.corpus.currency import to_usd


def test_dollars_stay_as_they_are():
    assert to_usd(1234567.89, "USD", 2020) == to_usd(1234567.89, "usd", 1950) == 1234567.89


@pytest.mark.parametrize(
    ("currency", "year", "due"), [("EUR", 2022, 1.05e6), ("GBP", 2007, 2e6), ("CHF", 2020, 1.08e6), ("eur", 2022, 1.05e6)]
)
def test_an_amount_is_converted_at_the_rate_of_its_year(currency, year, due):
    assert to_usd(1_000_000, currency, year) == due


@pytest.mark.parametrize(("year", "like"), [(1999, 2007), (2026, 2025), (2100, 2025)])
def test_a_year_without_a_rate_takes_the_nearest_that_has_one(year, like):
    assert to_usd(100, "EUR", year) == to_usd(100, "EUR", like)


def test_a_converted_amount_pretends_no_precision():
    assert to_usd(123_456_789, "EUR", 2020) == 141_000_000


def test_a_currency_without_a_rate_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'XYZ' has no rate; known are .*EUR.*GBP.*USD"):
        to_usd(1, "XYZ", 2020)


def test_nothing_is_nothing_in_every_currency():
    assert to_usd(0, "JPY", 2020) == 0
