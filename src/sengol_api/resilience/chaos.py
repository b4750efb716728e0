"""Faults, delays and wrong results on purpose: for tests, and for game days."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, NamedTuple

from sengol_api.resilience.counter import Counter
from sengol_api.resilience.deadline import remaining
from sengol_api.resilience.events import Event
from sengol_api.resilience.options import FUNCTION, YES, YES_OR_NO, Allowed, at_least, between, option, whole
from sengol_api.resilience.policy import AsyncCall, Policy, PolicyOptions, Site, SyncCall

_SECONDS = at_least(0)
_LATENCY = Allowed(
    "a number of at least 0, or two of them: the least and the most",
    lambda value: (
        len(value) == 2 and all(_SECONDS.accepts(each) for each in value) if isinstance(value, tuple) else _SECONDS.accepts(value)
    ),
)
_ANYTHING = Allowed("any value, or a function of the real result", lambda _: True)


@dataclass(frozen=True)
class Chaos(PolicyOptions):
    """Makes some calls slow, fail or answer wrongly. Stands innermost, in the place of a bad day of the service."""

    kind: ClassVar[str] = "chaos"

    fault_rate: float = option(0.0, between(0, 1), "share of the calls that fail instead of being made")
    fault: Callable[[], Exception] = option(ConnectionError, FUNCTION, "gives the error, a new one each time")
    latency_rate: float = option(0.0, between(0, 1), "share of the calls that are delayed before they are made or fail")
    latency: float | tuple[float, float] = option(1.0, _LATENCY, "the delay, or its least and its most", "s")
    result_rate: float = option(0.0, between(0, 1), "share of the calls that are made and answer wrongly")
    result: Any = option(None, _ANYTHING, "the wrong answer, or what makes it of the right one")
    enabled: bool = option(YES, YES_OR_NO, "whether it does anything")
    seed: int | None = option(None, whole(0).or_none(), "the same seed gives the same sequence; None: the pipeline's own chance")

    def contradictions(self) -> Iterator[str]:
        """The least latency is not above the most."""
        if isinstance(self.latency, tuple) and self.latency[0] > self.latency[1]:
            yield f"latency={self.latency!r} has its shortest delay above its longest: turn them round"

    def build(self, site: Site) -> "ChaosPolicy":
        """The policy with these options at ``site``."""
        return ChaosPolicy(self, site)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosInjected(Event):
    """A call is made slow, fails, or answers wrongly on purpose.

    Attributes:
        what: ``latency``, ``fault`` or ``result``.
        latency: seconds of delay; 0 for the others.
    """

    what: str
    latency: float = 0.0


@dataclass(frozen=True, slots=True)
class ChaosSnapshot:
    """State and statistics of chaos.

    Attributes:
        enabled: whether it does anything now.
        calls: that it looked at while it was enabled.
        faults: calls that failed instead of being made.
        delayed: calls that were delayed.
        results: calls that answered wrongly.
    """

    enabled: bool
    calls: int
    faults: int
    delayed: int
    results: int


class _Fate(NamedTuple):
    latency: float
    fault: bool
    result: bool


_UNTOUCHED = _Fate(0.0, fault=False, result=False)


class ChaosPolicy(Policy[Chaos]):
    """Decides for each call, by chance, what happens to it.

    Each call draws the same four numbers, whatever the rates: with a seed, a higher rate of one thing adds to the calls that it
    meets, and changes nothing about the others. Calls draw in the order in which they start.

    Errors that it raises have an attribute ``injected``, which is True.
    """

    kind = "chaos"
    of_attempt = True

    def __init__(self, options: Chaos, site: Site) -> None:
        super().__init__(options, site)
        self._lock = threading.Lock()
        self._random = _chance(options, site)
        self._calls = Counter()
        self._faults = Counter()
        self._delayed = Counter()
        self._results = Counter()

    def _apply(self, options: Chaos) -> None:
        if options.seed != self._options.seed:
            self._random = _chance(options, self.site)

    def enable(self) -> None:
        """Do what the options say."""
        self.update(enabled=True)

    def disable(self) -> None:
        """Do nothing until :meth:`enable`."""
        self.update(enabled=False)

    def link(self, inner: AsyncCall) -> AsyncCall:
        """This policy around ``inner``, for coroutine functions."""

        async def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            options = self._options
            fate = self._draw(options) if options.enabled else _UNTOUCHED
            if fate.latency:
                await self.site.clock.sleep(self._delay(fate.latency))
            if fate.fault:
                raise self._fault(options)
            result = await inner(function, args, kwargs)
            return self._wrong(options, result) if fate.result else result

        return call

    def link_sync(self, inner: SyncCall) -> SyncCall:
        """This policy around ``inner``, for plain functions."""

        def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            options = self._options
            fate = self._draw(options) if options.enabled else _UNTOUCHED
            if fate.latency:
                self.site.clock.wait(threading.Event(), self._delay(fate.latency))
            if fate.fault:
                raise self._fault(options)
            result = inner(function, args, kwargs)
            return self._wrong(options, result) if fate.result else result

        return call

    def _draw(self, options: Chaos) -> _Fate:
        with self._lock:
            chance = self._random.random
            late, length, faulty, wrong = chance(), chance(), chance(), chance()
        self._calls.add()
        least, most = options.latency if isinstance(options.latency, tuple) else (options.latency, options.latency)
        return _Fate(
            least + length * (most - least) if late < options.latency_rate else 0.0,
            fault=faulty < options.fault_rate,
            result=wrong < options.result_rate,
        )

    def _delay(self, latency: float) -> float:
        """Seconds to sleep: like any work, not past the caller's deadline."""
        self._delayed.add()
        self._emit(ChaosInjected, what="latency", latency=latency)
        left = remaining()
        return latency if left is None else min(latency, left)

    def _fault(self, options: Chaos) -> Exception:
        self._faults.add()
        self._emit(ChaosInjected, what="fault")
        error: object = options.fault()
        if not isinstance(error, Exception):
            return TypeError(f"fault gave {error!r}, which is no exception")
        with contextlib.suppress(AttributeError):  # a class with slots cannot be marked
            error.injected = True  # type: ignore[attr-defined]
        return error

    def _wrong(self, options: Chaos, result: Any) -> Any:
        self._results.add()
        self._emit(ChaosInjected, what="result")
        return options.result(result) if callable(options.result) else options.result

    def snapshot(self) -> ChaosSnapshot:
        """State and statistics now."""
        return ChaosSnapshot(
            enabled=self._options.enabled,
            calls=self._calls.value,
            faults=self._faults.value,
            delayed=self._delayed.value,
            results=self._results.value,
        )


def _chance(options: Chaos, site: Site) -> Random:
    return site.random if options.seed is None else Random(options.seed)
