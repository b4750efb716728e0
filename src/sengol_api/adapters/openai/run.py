"""What one call of the client carries through all its layers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Self

from sengol_api.adapters.openai.answers import Listener, Progress
from sengol_api.resilience import OptionsError
from sengol_api.resilience.events import report
from sengol_api.resilience.options import above, whole

_TIMEOUT = above(0).or_none()
_RETRIES = whole(0, 20).or_none()


@dataclass(slots=True)
class Run:
    """One call of the client.

    Attributes:
        timeout: of an attempt in seconds, in place of that of the options.
        max_retries: in place of that of the options.
        listeners: who wants to know how the answer grows; with none the answer comes as one.
        left: seconds that the caller's deadline left when the call began; None without one.
        started: its own work was begun: it did not join that of another caller.
        calls: requests that were sent to providers for it.
    """

    timeout: float | None = None
    max_retries: int | None = None
    listeners: list[Listener] = field(default_factory=list)
    left: float | None = None
    started: bool = False
    calls: int = 0

    @classmethod
    def of(cls, timeout: float | None, max_retries: int | None) -> Self:
        """A call with limits of its own.

        Raises:
            OptionsError: numbers out of their range.
        """
        given = (("timeout", timeout, _TIMEOUT), ("max_retries", max_retries, _RETRIES))
        problems = [
            f"{name}={value!r} is not allowed, it takes {allowed.words}"
            for name, value, allowed in given
            if not allowed.accepts(value)
        ]
        if problems:
            raise OptionsError("call", problems)
        return cls(timeout, max_retries)

    def tell(self, progress: Progress) -> None:
        """Tell all who listen. One that raises is reported, and the call goes on."""
        for listener in tuple(self.listeners):
            _guarded(partial(listener, progress), listener)


def _guarded(call: Callable[[], object], listener: Listener) -> None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever a listener does, the answer goes on
        report(error, "a listener to the progress of an answer raised", listener)
