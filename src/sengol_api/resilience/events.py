"""Events: what the policies tell, and who listens. Policies never log."""

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sengol_api.resilience.errors import Rejected


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
    nothing: its error goes to :data:`sys.unraisablehook`, which prints it, and is counted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: tuple[tuple[Listener, tuple[type[Event], ...]], ...] = ()
        self.errors = 0

    def subscribe(self, listener: Listener, *types: type[Event]) -> Callable[[], None]:
        """Call ``listener`` with every event of these types (of all types when none is given), until the answer is called."""
        entry = (listener, types or (Event,))
        with self._lock:
            self._listeners += (entry,)

        def unsubscribe() -> None:
            with self._lock:
                self._listeners = tuple(each for each in self._listeners if each is not entry)

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
                    self.errors += 1
                    report(error, f"a listener to the events of pipeline {event.pipeline!r} raised", listener)


def report(error: BaseException, what: str, where: object) -> None:
    """Show an error that has no caller to go to, the way Python shows those of finalizers."""
    sys.unraisablehook(
        SimpleNamespace(exc_type=type(error), exc_value=error, exc_traceback=error.__traceback__, err_msg=what, object=where)
    )
