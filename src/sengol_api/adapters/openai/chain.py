"""Providers in their order: the first that has an answer serves, and what the others said is told when none has."""

from collections.abc import Mapping, Sequence
from typing import Generic

from sengol_api.adapters.openai.errors import LateAnswerError, ModelError, UnavailableError
from sengol_api.adapters.openai.routes import A, R, Route
from sengol_api.adapters.openai.run import Run
from sengol_api.resilience import Clock, Rejected, TimedOut, attempts_of, deadline, remaining


class Chain(Generic[A, R]):
    """The routes of one kind of request.

    All but the last leave a share of the caller's deadline to those behind them, so that a silent provider does not use it up.

    Args:
        routes: in their order.
        reserve: that share.
        clock: that ends the deadlines.
    """

    def __init__(self, routes: Sequence[Route[A, R]], reserve: float, clock: Clock) -> None:
        self.routes = tuple(routes)
        self._reserve = reserve
        self._clock = clock

    def why_away(self) -> str:
        """Why nobody in the chain would be asked now, in words that may be shown; empty when somebody may."""
        reasons = [route.why_away() for route in self.routes]
        return reasons[0] if reasons and all(reasons) else ""

    async def answer(self, ask: A, run: Run) -> R:
        """The answer of the first route that has one.

        Raises:
            ModelError: none has, or another must not be asked.
        """
        said: dict[str, Exception] = {}
        for route in self.routes:
            try:
                return await self._of(route, ask, run, last=route is self.routes[-1])
            except (ModelError, Rejected, TimedOut) as error:
                said[route.provider.name] = _telling(error)
                if isinstance(error, ModelError) and not error.elsewhere:
                    break
        raise failure_of(said)

    async def _of(self, route: Route[A, R], ask: A, run: Run, *, last: bool) -> R:
        left = remaining()
        if left is None or last:
            return await route.call(ask, run)
        with deadline(left * (1.0 - self._reserve), clock=self._clock):
            return await route.call(ask, run)


def _telling(error: Exception) -> Exception:
    """The failure that led to it, when an attempt failed and the next one was refused: that one says more."""
    if isinstance(error, Rejected):
        tried = [each.error for each in attempts_of(error) if isinstance(each.error, Exception)]
        return next((each for each in reversed(tried) if not isinstance(each, Rejected)), error)
    return error


def failure_of(said: Mapping[str, Exception]) -> ModelError:
    """The one error for what all providers said: that of the last who was asked and failed, or else that nobody was asked.

    Args:
        said: the error of each, by its name, in the order in which they were asked.
    """
    asked = {name: error for name, error in said.items() if not isinstance(error, Rejected)}
    failed = [name for name, error in asked.items() if isinstance(error, ModelError)]
    if not asked:
        return _nobody_asked(said)
    teller = (failed or list(asked))[-1]
    error = asked[teller]
    found = error if isinstance(error, ModelError) else _late(teller, error)
    others = [f"{name}: {each}" for name, each in said.items() if name != teller]
    if others:
        found.add_note("others in the chain: " + "; ".join(others))
    return found


def _late(name: str, error: Exception) -> LateAnswerError:
    by_deadline = isinstance(error, TimedOut) and error.by_deadline
    limit = error.limit if isinstance(error, TimedOut) else 0.0
    why = ", when the caller's deadline was over." if by_deadline else ". Allow a longer timeout, or ask for less."
    return LateAnswerError(
        f"Provider {name} gave no whole answer within {limit:.3g} s{why}", provider=name, by_deadline=by_deadline
    )


def _nobody_asked(said: Mapping[str, Exception]) -> ModelError:
    why = "; ".join(f"{name}: {error}" for name, error in said.items())
    if all(isinstance(error, TimedOut) for error in said.values()):
        return LateAnswerError(f"No provider was asked: no time was left ({why}).", by_deadline=True)
    waits = [error.retry_after for error in said.values() if isinstance(error, Rejected) and error.retry_after is not None]
    return UnavailableError(f"No provider was asked ({why}).", said, retry_after=min(waits, default=None))
