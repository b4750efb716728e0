"""The one shape of every policy: options, policy, snapshot, events."""

import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, Generic, Self, TypeAlias, TypeVar

from sengol_api.resilience.clock import SYSTEM_CLOCK, Clock
from sengol_api.resilience.errors import OptionsError, Rejected
from sengol_api.resilience.events import CallRejected, Event, Events
from sengol_api.resilience.options import Options

AsyncCall: TypeAlias = Callable[[Callable[..., Awaitable[Any]], tuple[Any, ...], dict[str, Any]], Coroutine[Any, Any, Any]]
"""One link of a chain: takes a function, its arguments and its keywords, and makes the call."""
SyncCall: TypeAlias = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
"""The same for plain functions."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a policy stands: what it needs beside its options."""

    pipeline: str = "pipeline"
    policy: str = "policy"
    clock: Clock = SYSTEM_CLOCK
    events: Events = field(default_factory=Events)
    random: Random = field(default_factory=Random)


def refused(site: Site, error: Rejected) -> Rejected:
    """The error to raise; the listeners have been told of it."""
    if site.events.heard and site.events.wants(CallRejected):
        site.events.emit(CallRejected(pipeline=site.pipeline, policy=site.policy, at=site.clock.wall(), error=error))
    return error


@dataclass(frozen=True)
class PolicyOptions(Options, ABC):
    """What a user writes: the options of a policy, from which a pipeline builds the policy itself.

    Options hold no state, so the same options in two pipelines make two policies that know nothing of each other. To share a
    policy (two operations of one upstream under one breaker), give the second pipeline the built one: ``Pipeline("upsert",
    search["circuit_breaker"])``.
    """

    kind: ClassVar[str]
    """The policy's name in its pipeline."""

    @abstractmethod
    def build(self, site: Site) -> "Policy[Any]":
        """The policy with these options at ``site``."""


O_co = TypeVar("O_co", bound=PolicyOptions, covariant=True)


class Policy(ABC, Generic[O_co]):
    """A policy at work: it has state, belongs to the pipeline that built it, and may be shared with others.

    It serves coroutines and plain functions, from several threads and several event loops. What holds for every one of them:

    * an :class:`Exception` of the work is a failure, as its options classify it; every other :class:`BaseException` (a
      cancellation above all) is neither success nor failure: it gives back what the call held and counts nowhere;
    * a :class:`~sengol_api.resilience.errors.Rejected` from further inside is nobody's failure;
    * options are read once, when a call starts: one that is under way finishes on those it started with.
    """

    kind: ClassVar[str]
    keeps_deadline: ClassVar[bool] = False
    """Whether it cuts the work at the caller's deadline, so that the pipeline need not."""
    of_attempt: ClassVar[bool] = False
    """Whether it is part of the attempt that others repeat, hold places for and count: what limits its time, what spoils it."""
    shapes_result: ClassVar[bool] = False
    """Whether its results have a shape of their own. Callers rely on that, so it stays when the others are turned off."""
    per_call: ClassVar[frozenset[str]] = frozenset()
    """Options that may be others for some calls. What the rest says is in the state, which all calls share."""

    def __init__(self, options: O_co, site: Site) -> None:
        self._options = options
        self.site = site
        self._swap = threading.Lock()

    @property
    def options(self) -> O_co:
        """The options in force."""
        return self._options

    @property
    def name(self) -> str:
        """The policy's name in the pipeline that built it."""
        return self.site.policy

    def update(self, **changes: Any) -> None:
        """Change some options at run time. Calls under way finish on the old ones.

        Raises:
            OptionsError: the changed options make no sense; the old ones stay.
        """
        with self._swap:
            options = self._options.changed(**changes)
            self._apply(options)
            self._options = options

    def variant(self, **changes: Any) -> Self:
        """The same policy with some options changed: state, statistics and listeners are those of this one.

        Raises:
            OptionsError: the changed options make no sense, or are the same for all calls.
        """
        with self._swap:
            options = self._options.changed(**changes)
            if shared := sorted(changes.keys() - self.per_call):
                rest = f"; for some of them {', '.join(sorted(self.per_call))} can be changed" if self.per_call else ""
                raise OptionsError(type(options).__name__, [f"{', '.join(shared)} is the same for all calls{rest}"])
            return copy.copy(self)._with(options)  # noqa: SLF001 - of its own class

    def _with(self, options: Any) -> Self:
        self._swap = threading.Lock()
        self._options = options
        self._apply(options)
        return self

    def _apply(self, options: Any) -> None:
        """Bring state that depends on options (a number of permits) in line with new ones."""

    @abstractmethod
    def link(self, inner: AsyncCall) -> AsyncCall:
        """This policy around ``inner``, for coroutine functions."""

    @abstractmethod
    def link_sync(self, inner: SyncCall) -> SyncCall:
        """This policy around ``inner``, for plain functions."""

    @abstractmethod
    def snapshot(self) -> Any:
        """A frozen dataclass with this policy's state and statistics now."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of pipeline {self.site.pipeline!r}: {self._options!r}>"

    def _emit(self, kind: type[Event], **fields: Any) -> None:
        """Tell the listeners. Never called with a lock held."""
        site = self.site
        if site.events.wants(kind):
            site.events.emit(kind(pipeline=site.pipeline, policy=site.policy, at=site.clock.wall(), **fields))

    def _refused(self, error: Rejected) -> Rejected:
        """The error to raise; the listeners have been told of it."""
        return refused(self.site, error)
