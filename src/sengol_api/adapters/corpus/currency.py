"""Amounts in US dollars at the year's average rate: good enough to compare incidents, not to keep books."""

from typing import Final

# US dollars per unit. EUR and GBP: yearly averages of the ECB's and the Bank of England's reference rates, two digits.
_YEARLY: Final[dict[str, dict[int, float]]] = {
    "EUR": {
        2007: 1.37, 2008: 1.47, 2009: 1.39, 2010: 1.33, 2011: 1.39, 2012: 1.28, 2013: 1.33, 2014: 1.33, 2015: 1.11, 2016: 1.11,
        2017: 1.13, 2018: 1.18, 2019: 1.12, 2020: 1.14, 2021: 1.18, 2022: 1.05, 2023: 1.08, 2024: 1.08, 2025: 1.13,
    },
    "GBP": {
        2007: 2.00, 2008: 1.85, 2009: 1.57, 2010: 1.55, 2011: 1.60, 2012: 1.59, 2013: 1.56, 2014: 1.65, 2015: 1.53, 2016: 1.35,
        2017: 1.29, 2018: 1.34, 2019: 1.28, 2020: 1.28, 2021: 1.38, 2022: 1.24, 2023: 1.24, 2024: 1.28, 2025: 1.32,
    },
}  # fmt: skip
# Others: one rounded rate; they are rare here and moved little against the spread of costs.
_FLAT: Final = {
    "USD": 1.0, "AUD": 0.70, "CAD": 0.76, "CHF": 1.08, "CNY": 0.145, "DKK": 0.15, "INR": 0.0125, "JPY": 0.008, "KRW": 0.00078,
    "NOK": 0.11, "NZD": 0.65, "PLN": 0.25, "SEK": 0.11, "SGD": 0.74, "BRL": 0.20, "HKD": 0.128, "ILS": 0.28, "ZAR": 0.06,
}  # fmt: skip


def to_usd(amount: float, currency: str, year: int) -> float:
    """The amount in US dollars, rounded to three significant digits when it was converted.

    Raises:
        ValueError: a currency that has no rate here.
    """
    code = currency.upper()
    if code == "USD":
        return amount
    yearly = _YEARLY.get(code)
    rate = yearly[min(max(year, min(yearly)), max(yearly))] if yearly else _FLAT.get(code)
    if rate is None:
        raise ValueError(f"currency {currency!r} has no rate; known are {', '.join(sorted({*_YEARLY, *_FLAT}))}")
    return float(f"{amount * rate:.3g}")
