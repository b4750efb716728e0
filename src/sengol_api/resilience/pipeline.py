"""A pipeline: policies around a call, outermost first, linked once when it is built."""

import copy
import functools
import inspect
import math
import threading
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from random import Random
from typing import Any, ParamSpec, Self, TypeVar

from sengol_api.resilience.attempt import DeadlineOnly, bounded, name_of, shorter, start, start_sync
from sengol_api.resilience.clock import SYSTEM_CLOCK, Clock
from sengol_api.resilience.deadline import remaining
from sengol_api.resilience.errors import OptionsError
from sengol_api.resilience.events import Event, Events, Listener
from sengol_api.resilience.instrument import Instrument, check
from sengol_api.resilience.options import Allowed
from sengol_api.resilience.order import contradictions
from sengol_api.resilience.policy import AsyncCall, Policy, PolicyOptions, Site, SyncCall

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_NAME = Allowed("a text that is not empty", lambda value: isinstance(value, str) and value != "")
_CHANCE = Random()


class Pipeline:
    """Policies around a call.

    ::

        search = Pipeline("dvecdb", Retry(), CircuitBreaker(), Bulkhead(), Timeout(5.0))
        hits = await search.call(client.query, vector, k=20)

        @search
        async def query(vector): ...

    Whether it has a time limit of its own or not, a pipeline keeps to the caller's :class:`deadline`.

    Args:
        name: what is called through it; in errors, events and snapshots.
        policies: outermost first: options, from which it builds policies of its own, or built policies of another pipeline to
            share.
        clock: where all its policies get their time from.
        random: where they get chance from.

    Raises:
        OptionsError: something that is none of these, or an order of policies that makes no sense.
    """

    def __init__(
        self,
        name: str,
        *policies: PolicyOptions | Policy[Any],
        clock: Clock = SYSTEM_CLOCK,
        random: Random = _CHANCE,
    ) -> None:
        given: list[Any] = list(policies)
        named = _NAME.accepts(name)
        problems = [] if named else [f"name={name!r} is not allowed, it takes {_NAME.words}"]
        problems += _not(Clock, clock=clock) + _not(Random, random=random)
        problems += [_no_policy(each) for each in given if not isinstance(each, PolicyOptions | Policy)]
        problems = problems or _contradictions(given)
        if problems:
            raise OptionsError(f"Pipeline {name!r}" if named else "Pipeline", problems)
        self.name = name
        self.clock = clock
        self.events = Events()
        self._policies: dict[str, Policy[Any]] = {}
        for each in policies:
            place = _free_name(each.kind, self._policies)
            self._policies[place] = each if isinstance(each, Policy) else each.build(Site(name, place, clock, self.events, random))
        self._site = Site(name, "deadline", clock, self.events, random)
        self._relinking = threading.Lock()
        self._instruments: tuple[tuple[Instrument], ...] = ()
        self.bypass(on=False)

    def _link(self) -> AsyncCall:
        chain: AsyncCall = start
        if not any(policy.keeps_deadline for policy in self._policies.values()):
            chain = bounded(chain, DeadlineOnly(), self._site)
        inside, outside = self._split()
        for policy in reversed(inside):
            chain = policy.link(chain)
        for (instrument,) in reversed(self._instruments):
            chain = instrument.around_attempts(self.name, chain)
        for policy in reversed(outside):
            chain = policy.link(chain)
        for (instrument,) in reversed(self._instruments):
            chain = instrument.around_calls(self.name, chain)
        return chain

    def _split(self) -> tuple[list[Policy[Any]], list[Policy[Any]]]:
        """The policies that are part of each attempt, and those around the attempts."""
        outside = list(self._policies.values())
        inside: list[Policy[Any]] = []
        while outside and outside[-1].of_attempt:
            inside.insert(0, outside.pop())
        return inside, outside

    def _link_sync(self) -> SyncCall:
        def in_time(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            left = remaining()
            if left is not None:
                shorter(math.inf, left, self._site)
            return start_sync(function, args, kwargs)

        chain: SyncCall = in_time
        inside, outside = self._split()
        for policy in reversed(inside):
            chain = policy.link_sync(chain)
        for (instrument,) in reversed(self._instruments):
            chain = instrument.around_attempts_sync(self.name, chain)
        for policy in reversed(outside):
            chain = policy.link_sync(chain)
        for (instrument,) in reversed(self._instruments):
            chain = instrument.around_calls_sync(self.name, chain)
        return chain

    def call(self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call a coroutine function under the policies; to be awaited.

        Raises:
            Rejected: a policy refused.
            TimedOut: the work was cut.
            Exception: what the function raised, unchanged.
        """
        return self._run(function, args, kwargs)

    def call_sync(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a plain function under the policies. Raises as :meth:`call` does."""
        return self._run_sync(function, args, kwargs)  # type: ignore[no-any-return]  # a variable would outlive an error

    def __call__(self, function: F) -> F:
        """Decorate a coroutine function or a plain one.

        Raises:
            TypeError: a generator: its work is done while it is read, long after the call. Or nothing that can be called.
        """
        if isinstance(function, staticmethod | classmethod):
            return type(function)(self(function.__func__))
        runs = _what_runs(function)
        if inspect.isgeneratorfunction(runs) or inspect.isasyncgenfunction(runs):
            raise TypeError(f"{name_of(function)} is a generator function: its work would be done outside of the policies")
        if inspect.iscoroutinefunction(runs):

            @functools.wraps(function)
            async def guarded(*args: Any, **kwargs: Any) -> Any:
                return await self._run(function, args, kwargs)

            return guarded  # type: ignore[return-value]

        @functools.wraps(function)
        def guarded_sync(*args: Any, **kwargs: Any) -> Any:
            return self._run_sync(function, args, kwargs)

        return guarded_sync  # type: ignore[return-value]

    def __getitem__(self, policy: str) -> Any:
        """A policy by its name, as ``search["circuit_breaker"]``."""
        try:
            return self._policies[policy]
        except KeyError:
            known = ", ".join(self._policies) or "none"
            raise KeyError(f"pipeline {self.name!r} has no policy {policy!r}; it has {known}") from None

    def __contains__(self, policy: str) -> bool:
        return policy in self._policies

    def __iter__(self) -> Iterator[str]:
        return iter(self._policies)

    def snapshot(self) -> dict[str, Any]:
        """The snapshot of each policy, by its name, outermost first."""
        return {name: policy.snapshot() for name, policy in self._policies.items()}

    def subscribe(self, listener: Listener, *types: type[Event]) -> Callable[[], None]:
        """Tell ``listener`` of events of these types (all when none is given). The answer ends that when it is called."""
        return self.events.subscribe(listener, *types)

    @property
    def bypassed(self) -> bool:
        """Whether it calls straight through."""
        return self._bypassed

    def bypass(self, *, on: bool) -> None:
        """Call straight through (on), or under the policies again. Calls under way go on as they started.

        A fallback stays, since callers expect its :class:`~sengol_api.resilience.Served`; and so do those who look on.
        """
        with self._relinking:
            self._bypassed = on
            self._relink()

    def variant(self, changes: Mapping[str, Mapping[str, Any]], *, without: Collection[str] = ()) -> Self:
        """This pipeline for calls that ask for something else, such as a longer time: its calls are calls of this one.

        ::

            await search.variant({"timeout": {"seconds": 60.0}, "retry": {"max_retries": 0}}).call(client.query, vector)

        It shares everything but the changed numbers: name, state, statistics, listeners, and whoever looks on when it is made. So
        it is made for a call, or for a few at once, which takes about a tenth of a millisecond.

        Args:
            changes: options by the name of their policy: of a timeout the time, of a retry all but the budget. Others are the same
                for all calls.
            without: names of policies that its calls do not go through.

        Raises:
            KeyError: there is no such policy.
            OptionsError: the changed options make no sense, or cannot be changed for some calls.
        """
        left_out = [self[name] for name in without]
        changed = {name: self[name].variant(**options) for name, options in changes.items()}
        policies = {name: changed.get(name, policy) for name, policy in self._policies.items() if policy not in left_out}
        if problems := _contradictions(policies.values()):
            raise OptionsError(f"Pipeline {self.name!r}", problems)
        return copy.copy(self)._with(policies)  # noqa: SLF001 - of its own class

    def _with(self, policies: dict[str, Policy[Any]]) -> Self:
        self._policies = policies
        self._relinking = threading.Lock()
        self._relink()
        return self

    def instrument(self, instrument: Instrument) -> Callable[[], None]:
        """Let ``instrument`` look on at every call and attempt. Calls under way go on as they started.

        Of several, the one that came first is the outermost.

        Returns:
            what ends that when it is called.

        Raises:
            OptionsError: it lacks a method of an instrument.
        """
        check(instrument)
        entry = (instrument,)  # the same one may come twice
        with self._relinking:
            self._instruments += (entry,)
            self._relink()

        def end() -> None:
            with self._relinking:
                self._instruments = tuple(each for each in self._instruments if each is not entry)
                self._relink()

        return end

    def _relink(self) -> None:
        self._run, self._run_sync = self._straight() if self._bypassed else (self._link(), self._link_sync())

    def _straight(self) -> tuple[AsyncCall, SyncCall]:
        chain: AsyncCall = start
        chain_sync: SyncCall = start_sync
        for (instrument,) in reversed(self._instruments):
            chain, chain_sync = instrument.around_attempts(self.name, chain), instrument.around_attempts_sync(self.name, chain_sync)
        for policy in reversed(self._policies.values()):
            if policy.shapes_result:
                chain, chain_sync = policy.link(chain), policy.link_sync(chain_sync)
        for (instrument,) in reversed(self._instruments):
            chain, chain_sync = instrument.around_calls(self.name, chain), instrument.around_calls_sync(self.name, chain_sync)
        return chain, chain_sync

    def __repr__(self) -> str:
        return f"Pipeline({', '.join([repr(self.name), *(repr(policy.options) for policy in self._policies.values())])})"


def _what_runs(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function behind a call: that of a partial, or the ``__call__`` of an object."""
    while isinstance(function, functools.partial):
        function = function.func
    if not callable(function):
        raise TypeError(f"{function!r} is no function")
    if inspect.isroutine(function) or isinstance(function, type):
        return function
    return type(function).__call__


def _contradictions(policies: Iterable[PolicyOptions | Policy[Any]]) -> list[str]:
    return list(contradictions([(each.kind, getattr(each, "options", each)) for each in policies]))


def _not(kind: type, **given: Any) -> list[str]:
    wanted = f"it takes an object with the methods of {kind.__name__}"
    return [f"{name}={value!r} is not allowed, {wanted}" for name, value in given.items() if not isinstance(value, kind)]


def _no_policy(given: Any) -> str:
    if isinstance(given, Pipeline):
        return f"{given.name!r} is a pipeline and no policy: call one inside of the other, or share policies, as pipeline['retry']"
    if isinstance(given, type) and issubclass(given, PolicyOptions):
        return f"{given.__name__} is the class of a policy's options: write {given.__name__}()"
    return f"{given!r} is no policy"


def _free_name(kind: str, taken: dict[str, Policy[Any]]) -> str:
    number = 1 + sum(policy.kind == kind for policy in taken.values())
    return kind if number == 1 else f"{kind}_{number}"
