"""All pipelines of a program by their names: to look at them together, and to take them in hand."""

import threading
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from sengol_api.resilience import events
from sengol_api.resilience.breaker.policy import CircuitBreakerPolicy
from sengol_api.resilience.clock import SYSTEM_CLOCK, Clock
from sengol_api.resilience.errors import OptionsError
from sengol_api.resilience.events import Event, Listener
from sengol_api.resilience.instrument import Instrument, check
from sengol_api.resilience.pipeline import Pipeline
from sengol_api.resilience.policy import Policy, PolicyOptions


class Registry:
    """Named pipelines.

    ::

        pipelines = Registry()
        search = pipelines.pipeline("dvecdb", Retry(), CircuitBreaker(), Timeout(5.0))
        pipelines.subscribe(log, CircuitChanged)                   # those of today and those to come
        pipelines.update("dvecdb", "retry", max_retries=1)
        pipelines.breakers()["dvecdb"].isolate()

    Safe in any number of threads.

    Args:
        clock: of the pipelines that it makes.
        random: of the pipelines that it makes.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, random: Random | None = None) -> None:
        self._clock = clock
        self._random = random or Random()
        self._lock = threading.Lock()
        self._pipelines: dict[str, Pipeline] = {}
        self._subscriptions: list[_Subscription] = []

    def pipeline(self, name: str, *policies: PolicyOptions | Policy[Any]) -> Pipeline:
        """Make a pipeline, and keep it under its name. Takes what :class:`Pipeline` takes.

        Raises:
            OptionsError: the name is taken, or the policies make no sense.
        """
        return self.add(Pipeline(name, *policies, clock=self._clock, random=self._random))

    def add(self, pipeline: Pipeline) -> Pipeline:
        """Keep a pipeline under its name.

        Raises:
            OptionsError: the name is taken, or it is no pipeline.
        """
        if not isinstance(pipeline, Pipeline):
            raise OptionsError("Registry", [f"{pipeline!r} is no pipeline"])
        with self._lock:
            if pipeline.name in self._pipelines:
                problem = f"name={pipeline.name!r} is taken; remove that pipeline first, or take another name"
                raise OptionsError("Registry", [problem])
            self._pipelines[pipeline.name] = pipeline
            for subscription in self._subscriptions:
                subscription.follow(pipeline)
        return pipeline

    def remove(self, name: str) -> Pipeline:
        """Forget a pipeline: its events are heard no more, and its name is free. Calls go on through it.

        Raises:
            KeyError: there is no such pipeline.
        """
        with self._lock:
            pipeline = self._get(name)
            del self._pipelines[name]
            for subscription in self._subscriptions:
                subscription.leave(pipeline)
        return pipeline

    def _get(self, name: str) -> Pipeline:
        try:
            return self._pipelines[name]
        except KeyError:
            known = ", ".join(self._pipelines) or "none"
            raise KeyError(f"there is no pipeline {name!r}; there are {known}") from None

    def __getitem__(self, name: str) -> Pipeline:
        with self._lock:
            return self._get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._pipelines

    def __iter__(self) -> Iterator[str]:
        return iter([pipeline.name for pipeline in self._all()])

    def __len__(self) -> int:
        return len(self._pipelines)

    def _all(self) -> list[Pipeline]:
        with self._lock:
            return list(self._pipelines.values())

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """The snapshots of all policies, by the name of the pipeline and that of the policy."""
        return {pipeline.name: pipeline.snapshot() for pipeline in self._all()}

    def subscribe(self, listener: Listener, *types: type[Event]) -> Callable[[], None]:
        """Tell ``listener`` of events of these types (all when none is given), from the pipelines of today and those to come.

        Returns:
            what ends that when it is called.

        Raises:
            OptionsError: the listener is no plain function, or a type is none of an event.
        """
        events.check(listener, types)
        return self._follow(lambda pipeline: pipeline.subscribe(listener, *types))

    def instrument(self, instrument: Instrument) -> Callable[[], None]:
        """Let ``instrument`` look on at the calls of the pipelines of today and those to come.

        Returns:
            what ends that when it is called.

        Raises:
            OptionsError: it lacks a method of an instrument.
        """
        check(instrument)
        return self._follow(lambda pipeline: pipeline.instrument(instrument))

    def _follow(self, begin: Callable[[Pipeline], Callable[[], None]]) -> Callable[[], None]:
        subscription = _Subscription(begin)
        with self._lock:
            self._subscriptions.append(subscription)
            for pipeline in self._pipelines.values():
                subscription.follow(pipeline)

        def unsubscribe() -> None:
            with self._lock:
                self._subscriptions = [each for each in self._subscriptions if each is not subscription]
                subscription.end()

        return unsubscribe

    def policies(self, kind: str) -> dict[str, list[Any]]:
        """All policies of one kind, by the name of their pipeline: ``policies("chaos")`` to end a game day."""
        found = {
            pipeline.name: [pipeline[policy] for policy in pipeline if pipeline[policy].kind == kind] for pipeline in self._all()
        }
        return {name: policies for name, policies in found.items() if policies}

    def breakers(self) -> dict[str, CircuitBreakerPolicy]:
        """The circuit breakers, by the name of their pipeline: to isolate, disable or reset them by hand."""
        return {name: breaker for name, (breaker,) in self.policies("circuit_breaker").items()}

    def update(self, name: str, policy: str, **changes: Any) -> None:
        """Change some options of a policy at run time. Calls under way finish on the old ones.

        Raises:
            KeyError: there is no such pipeline, or it has no such policy.
            OptionsError: the changed options make no sense; the old ones stay.
        """
        self[name][policy].update(**changes)


class _Subscription:
    """One listener or instrument, and how it is taken from each pipeline again."""

    def __init__(self, begin: Callable[[Pipeline], Callable[[], None]]) -> None:
        self._begin = begin
        self._ends: dict[str, Callable[[], None]] = {}

    def follow(self, pipeline: Pipeline) -> None:
        self._ends[pipeline.name] = self._begin(pipeline)

    def leave(self, pipeline: Pipeline) -> None:
        self._ends.pop(pipeline.name)()

    def end(self) -> None:
        while self._ends:
            self._ends.popitem()[1]()
