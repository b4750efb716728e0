"""Other answers for when the work has none, and which of them was given."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from sengol_api.resilience.attempt import ENDED, DeadlineOnly, begin_link, bounded, resumed, start, start_sync
from sengol_api.resilience.counter import Counter
from sengol_api.resilience.deadline import deadline, remaining
from sengol_api.resilience.events import Event, report
from sengol_api.resilience.options import Allowed, between, option
from sengol_api.resilience.policy import AsyncCall, Policy, PolicyOptions, Site, SyncCall
from sengol_api.resilience.served import PRIMARY, Served, attach
from sengol_api.resilience.transient import ERRORS, ErrorPredicate, ErrorTypes, as_predicate

_ALTERNATIVES = Allowed(
    f"functions by their labels, at least one; a label is a text, not empty and not {PRIMARY!r}",
    lambda value: (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(label, str) and label not in {"", PRIMARY} and callable(each) for label, each in value.items())
    ),
)


@dataclass(frozen=True)
class Fallback(PolicyOptions):
    """Asks the alternatives, in their order, when the work fails.

    ::

        search = Pipeline("dvecdb", Fallback({"last good": stale, "keywords": by_keywords}), Retry(), CircuitBreaker())
        hits, by, errors = await search.call(client.query, vector)

    An alternative is called with the arguments of the call, and with the error of the work if it has a keyword-only parameter
    ``error``. It may be a plain function or, for coroutines, a coroutine function.
    """

    kind: ClassVar[str] = "fallback"

    alternatives: Mapping[str, Callable[..., Any]] = option(..., _ALTERNATIVES, "what to ask when the work fails, in this order")
    fallback_on: ErrorTypes = option(Exception, ERRORS, "errors to ask an alternative after; all others are raised")
    reserve: float = option(0.05, between(0.02, 0.9), "share of the caller's deadline that is kept for the alternatives")

    def __post_init__(self) -> None:
        """Keep a copy: a dictionary that changes later changes nothing here."""
        super().__post_init__()
        object.__setattr__(self, "alternatives", MappingProxyType(dict(self.alternatives)))

    def build(self, site: Site) -> "FallbackPolicy":
        """The policy with these options at ``site``."""
        return FallbackPolicy(self, site)


@dataclass(frozen=True, slots=True, kw_only=True)
class FellBack(Event):
    """The work failed, and an alternative answered.

    Attributes:
        label: of the alternative.
        error: of the work.
    """

    label: str
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingServed(Event):
    """The work failed, and so did every alternative.

    Attributes:
        error: of the work; :func:`~sengol_api.resilience.served.fallback_errors` gives those of the alternatives.
    """

    error: Exception


@dataclass(frozen=True, slots=True)
class FallbackSnapshot:
    """Statistics of a fallback.

    Attributes:
        served: answers by label, ``primary`` for the work itself.
        failed: errors of the alternatives, by label.
        unserved: calls that nobody had an answer for.
    """

    served: dict[str, int]
    failed: dict[str, int]
    unserved: int


class FallbackPolicy(Policy[Fallback]):
    """Answers in the place of work that fails, and says so: every result is a :class:`~sengol_api.resilience.served.Served`.

    It falls back on every :class:`Exception`, rejections and mistakes in the code of the work among them: an answer to a user is
    not withheld because of where the fault lies. Listeners get each error with :class:`FellBack`, so a mistake does not go
    unseen; ``fallback_on`` narrows it. A cancellation is never answered.

    An alternative that raises leads to the next. When all have, the caller gets the error of the work, with a note on it, and
    those of the alternatives from :func:`~sengol_api.resilience.served.fallback_errors`.

    An alternative needs time when the caller's deadline is over, so a share of what the deadline leaves is kept from the work.
    Within that, alternatives are cut at the deadline like any work; after it, one that answers without waiting (a value that is
    at hand) still may.
    """

    kind = "fallback"
    shapes_result = True

    def __init__(self, options: Fallback, site: Site) -> None:
        super().__init__(options, site)
        self._served = {PRIMARY: Counter()}
        self._failed: dict[str, Counter] = {}
        self._unserved = Counter()
        self._in_time = bounded(start, DeadlineOnly(), site)
        self._apply(options)

    def _apply(self, options: Fallback) -> None:
        for label in options.alternatives:
            self._served.setdefault(label, Counter())
            self._failed.setdefault(label, Counter())
        self._plan = _Plan(
            1.0 - options.reserve,
            as_predicate(options.fallback_on),
            tuple((label, each, _takes_error(each)) for label, each in options.alternatives.items()),
        )

    def link(self, inner: AsyncCall) -> AsyncCall:
        """This policy around ``inner``, for coroutine functions."""
        count = self._served[PRIMARY].add

        async def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            plan = self._plan
            left = remaining()
            try:
                if left is None:
                    value = await inner(function, args, kwargs)
                else:
                    with deadline(left * plan.share, clock=self.site.clock):
                        value = await inner(function, args, kwargs)
            except Exception as error:
                found = await self._ask(plan, error, args, kwargs) if self._accepts(plan, error) else []
                if not found:
                    raise
                return found.pop()  # a variable with the answer would be a cycle: it has the error, whose traceback has this frame
            count()
            return Served(value, PRIMARY)

        return call

    async def _ask(self, plan: "_Plan", error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Served[Any]]:
        asking = _Asking(self, error)
        try:
            for label, alternative, wants_error in plan.alternatives:
                keywords = {**kwargs, "error": error} if wants_error else kwargs
                try:
                    return asking.served(label, await self._answer(alternative, args, keywords))
                except Exception as failure:  # noqa: BLE001 - the next one is asked
                    asking.failed(label, failure)
            return asking.unserved()
        finally:
            del asking, error, keywords  # the tracebacks of those that failed have this frame

    async def _answer(self, alternative: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The first step is taken whatever the time: an answer that needs no waiting is never too late."""
        result: list[Any] = [None]
        work = begin_link(_either_kind, result, alternative, args, kwargs)
        waiting = next(work, ENDED)
        try:
            if waiting is not ENDED:
                await self._in_time(resumed, (work, waiting), {})
            return result.pop()
        finally:
            work.close()

    def link_sync(self, inner: SyncCall) -> SyncCall:
        """This policy around ``inner``, for plain functions."""
        count = self._served[PRIMARY].add

        def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            plan = self._plan
            left = remaining()
            try:
                if left is None:
                    value = inner(function, args, kwargs)
                else:
                    with deadline(left * plan.share, clock=self.site.clock):
                        value = inner(function, args, kwargs)
            except Exception as error:
                found = self._ask_sync(plan, error, args, kwargs) if self._accepts(plan, error) else []
                if not found:
                    raise
                return found.pop()
            count()
            return Served(value, PRIMARY)

        return call

    def _ask_sync(self, plan: "_Plan", error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Served[Any]]:
        asking = _Asking(self, error)
        try:
            for label, alternative, wants_error in plan.alternatives:
                keywords = {**kwargs, "error": error} if wants_error else kwargs
                try:
                    return asking.served(label, start_sync(alternative, args, keywords))
                except Exception as failure:  # noqa: BLE001 - the next one is asked
                    asking.failed(label, failure)
            return asking.unserved()
        finally:
            del asking, error, keywords

    def _accepts(self, plan: "_Plan", error: Exception) -> bool:
        try:
            return bool(plan.falls_back(error))
        except Exception as raised:  # noqa: BLE001 - the caller shall get the error of the work, not that of the predicate
            report(raised, f"the fallback predicate of pipeline {self.site.pipeline!r} raised", plan.falls_back)
            return False

    def fell_back(self, label: str, error: Exception) -> None:
        """An alternative answered."""
        self._served[label].add()
        self._emit(FellBack, label=label, error=error)

    def failed(self, label: str) -> None:
        """An alternative raised."""
        self._failed[label].add()

    def nothing_served(self, error: Exception) -> None:
        """All alternatives raised."""
        self._unserved.add()
        self._emit(NothingServed, error=error)

    def snapshot(self) -> FallbackSnapshot:
        """Statistics now."""
        return FallbackSnapshot(
            served={label: counter.value for label, counter in self._served.copy().items()},
            failed={label: counter.value for label, counter in self._failed.copy().items()},
            unserved=self._unserved.value,
        )


class _Plan(NamedTuple):
    """What follows from the options: read once per call."""

    share: float
    falls_back: ErrorPredicate
    alternatives: tuple[tuple[str, Callable[..., Any], bool], ...]


class _Asking:
    """One call that failed, and what came of its alternatives."""

    def __init__(self, policy: FallbackPolicy, error: Exception) -> None:
        self._policy = policy
        self._error = error
        self._errors: dict[str, Exception] = {PRIMARY: error}

    def failed(self, label: str, failure: Exception) -> None:
        self._errors[label] = failure
        self._policy.failed(label)

    def served(self, label: str, value: Any) -> list[Served[Any]]:
        self._policy.fell_back(label, self._error)
        return [Served(value, label, MappingProxyType(self._errors))]

    def unserved(self) -> list[Served[Any]]:
        del self._errors[PRIMARY]
        attach(self._errors, self._error)
        self._policy.nothing_served(self._error)
        return []


async def _either_kind(alternative: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    answer = alternative(*args, **kwargs)
    return await answer if inspect.isawaitable(answer) else answer


def _takes_error(alternative: Callable[..., Any]) -> bool:
    try:
        parameter = inspect.signature(alternative).parameters.get("error")
    except (TypeError, ValueError):  # some functions written in C do not tell
        return False
    return parameter is not None and parameter.kind is inspect.Parameter.KEYWORD_ONLY
