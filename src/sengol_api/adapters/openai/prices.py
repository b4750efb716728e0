"""What tokens cost: a table with a date, and the arithmetic over it. An unknown model has an unknown price, not none."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

_DATED: Final = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens.

    Attributes:
        input: of the request.
        output: of the answer.
        cached: of those of the request that the provider had in its own cache; None: as ``input``.
    """

    input: float
    output: float = 0.0
    cached: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no price."""
        for name, value in (("input", self.input), ("output", self.output), ("cached", self.cached)):
            if value is not None and not 0 <= value < 1e6:
                raise ValueError(f"{name}={value!r} is not allowed, it takes US dollars for a million tokens, from 0 on")

    def of(self, asked: int, answered: int, from_cache: int = 0) -> float:
        """US dollars for so many tokens."""
        cached = self.input if self.cached is None else self.cached
        return ((asked - from_cache) * self.input + from_cache * cached + answered * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices that were valid on a day.

    Attributes:
        as_of: the day, ISO.
        source: where they were read.
        models: price by the name of the model.
    """

    as_of: str
    source: str
    models: Mapping[str, Price]


@cache
def price_table() -> PriceTable:
    """The table that comes with the package."""
    text = files("sengol_api.data").joinpath("openai_prices.json").read_bytes()
    return msgspec.json.decode(text, type=PriceTable)


def price_of(model: str, own: Mapping[str, Price]) -> Price | None:
    """The price of a model; that of its family for one with a date in its name; None when it is not known.

    Args:
        model: as the provider names it.
        own: prices that count more than the table.
    """
    family = _DATED.sub("", model)
    for prices in (own, price_table().models):
        found = prices.get(model) or prices.get(family)
        if found is not None:
            return found
    return None
