"""What the client has done: requests, errors, tokens, and what they cost."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sengol_api.adapters.openai.answers import Usage
from sengol_api.adapters.openai.prices import Price, price_of, price_table

OTHERS: Final = "others"
"""Stands for all models beyond a hundred: providers may make names up."""
_MOST_MODELS = 100


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What one model was asked for.

    Attributes:
        answers: that told their tokens.
        usage: tokens of all of them.
        cost: of these tokens in US dollars; None when the price of the model is not known.
    """

    answers: int
    usage: Usage
    cost: float | None


@dataclass(frozen=True, slots=True)
class ClientStats:
    """Statistics since the client was made.

    Attributes:
        requests: sent to a provider, retries and repairs among them.
        retries: those of them that followed one that failed.
        repairs: those that asked a model to correct its answer.
        errors: those that failed, by the word for the reason; answers that could not be used among them.
        maybe_billed: requests that were sent and whose answer never came in full (timed out, broken, cancelled): the provider may
            have done, and billed, the work.
        input_tokens: of all requests that were answered.
        output_tokens: of all answers.
        cost: of all these tokens in US dollars; None when a model was used whose price is not known.
        models: the same by model.
        prices_as_of: the day of the table of prices.
    """

    requests: int
    retries: int
    repairs: int
    errors: Mapping[str, int]
    maybe_billed: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    models: Mapping[str, ModelUsage]
    prices_as_of: str


class Statistics:
    """Counts; safe in any number of threads.

    Args:
        prices: by model, beside and in place of those of the table.
    """

    def __init__(self, prices: Mapping[str, Price]) -> None:
        self._prices = prices
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._models: dict[str, tuple[int, Usage]] = {}

    def sent(self) -> None:
        """A request was sent."""
        with self._lock:
            self._counts["requests"] += 1

    def repaired(self) -> None:
        """A model is asked to correct its answer."""
        with self._lock:
            self._counts["repairs"] += 1

    def failed(self, reason: str) -> None:
        """A request failed, or its answer could not be used."""
        with self._lock:
            self._errors[reason] += 1

    def lost(self) -> None:
        """A request was sent, and its answer never came in full."""
        with self._lock:
            self._counts["maybe_billed"] += 1

    def used(self, model: str, usage: Usage) -> None:
        """An answer told its tokens."""
        with self._lock:
            if model not in self._models and len(self._models) >= _MOST_MODELS:
                model = OTHERS
            answers, so_far = self._models.get(model, (0, Usage()))
            self._models[model] = (answers + 1, so_far + usage)

    def snapshot(self, retries: int) -> ClientStats:
        """All of it now; ``retries`` are counted elsewhere."""
        with self._lock:
            counts, errors, used = Counter(self._counts), dict(self._errors), dict(self._models)
        models = {model: ModelUsage(answers, usage, self._cost(model, usage)) for model, (answers, usage) in used.items()}
        total = sum((usage for _, usage in used.values()), start=Usage())
        costs = [each.cost for each in models.values()]
        return ClientStats(
            requests=counts["requests"],
            retries=retries,
            repairs=counts["repairs"],
            errors=errors,
            maybe_billed=counts["maybe_billed"],
            input_tokens=total.input_tokens,
            output_tokens=total.output_tokens,
            cost=None if None in costs else sum(cost for cost in costs if cost is not None),
            models=models,
            prices_as_of=price_table().as_of,
        )

    def _cost(self, model: str, usage: Usage) -> float | None:
        price = price_of(model, self._prices)
        return None if price is None else price.of(usage.input_tokens, usage.output_tokens, usage.cached_tokens)
