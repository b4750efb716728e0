"""Events: what the policies tell, and who listens. Policies never log."""

import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sengol_api.resilience.counter import Counter
from sengol_api.resilience.errors import OptionsError, Rejected
from sengol_api.resilience.options import FUNCTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a policy.

    Attributes:
        pipeline: name of the pipeline.
        policy: which of its policies.
        at: when, in seconds since the epoch; for display only.
    """

    pipeline: str
    policy: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRejected(Event):
    """A policy refused a call.

    Attributes:
        error: what the caller got.
    """

    error: Rejected


Listener = Callable[[Any], object]


class Events:
    """The listeners of one pipeline.

    Listeners run in the thread of the call, outside of every lock, in the order in which they came. One that raises breaks
    nothing: its error goes to :func:`report`, and is counted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: tuple[tuple[Listener, tuple[type[Event], ...]], ...] = ()
        self._errors = Counter()
        self.heard = False
        """Whether anybody listens at all: asked where an event may come with every call."""

    @property
    def errors(self) -> int:
        """How often a listener raised."""
        return self._errors.value

    def subscribe(self, listener: Listener, *types: type[Event]) -> Callable[[], None]:
        """Call ``listener`` with every event of these types (of all types when none is given), until the answer is called.

        Raises:
            OptionsError: the listener is no plain function, or a type is none of an event.
        """
        check(listener, types)
        entry = (listener, types or (Event,))
        with self._lock:
            self._listeners += (entry,)
            self.heard = True

        def unsubscribe() -> None:
            with self._lock:
                self._listeners = tuple(each for each in self._listeners if each is not entry)
                self.heard = bool(self._listeners)

        return unsubscribe

    def wants(self, kind: type[Event]) -> bool:
        """Whether anybody listens to this type: asked before events that come with every call."""
        return bool(self._listeners) and any(issubclass(kind, types) for _, types in self._listeners)

    def emit(self, event: Event) -> None:
        """Tell all who listen."""
        for listener, types in self._listeners:
            if isinstance(event, types):
                try:
                    listener(event)
                except Exception as error:  # noqa: BLE001 - whatever a listener does, the call goes on
                    self._errors.add()
                    report(error, f"a listener to the events of pipeline {event.pipeline!r} raised", listener)


def check(listener: object, types: tuple[object, ...]) -> None:
    """Refuse what cannot be told of events.

    Raises:
        OptionsError: the listener is no plain function, or a type is none of an event.
    """
    problems = [] if FUNCTION.accepts(listener) else [f"listener={listener!r} is not allowed, it takes {FUNCTION.words}"]
    problems += [
        f"{each!r} is no type of event, as CircuitChanged is one"
        for each in types
        if not (isinstance(each, type) and issubclass(each, Event))
    ]
    if problems:
        raise OptionsError("subscribe", problems)


def report(error: BaseException, what: str, where: object) -> None:
    """Show an error that has no caller to go to, the way Python shows those of finalizers. It never raises.

    A program that sets :data:`sys.unraisablehook` gets it there. Python's own hook takes nothing but what the interpreter itself
    has made, so what it would print is printed here.
    """
    told: Any = SimpleNamespace(
        exc_type=type(error), exc_value=error, exc_traceback=error.__traceback__, err_msg=what, object=where
    )
    try:
        sys.unraisablehook(told)
    except Exception:  # noqa: BLE001 - Python's own, one that passes on to it, or one that is broken
        with suppress(Exception):  # a service may run without a standard error
            sys.stderr.write(f"{what}: {where!r}\n" + "".join(traceback.format_exception(error)))
