"""What one call of the client carries through all its layers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from sengol_api.adapters.openai.answers import Listener, Progress
from sengol_api.resilience.events import report


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

    def tell(self, progress: Progress) -> None:
        """Tell all who listen. One that raises is reported, and the call goes on."""
        for listener in tuple(self.listeners):
            _guarded(partial(listener, progress), listener)


def _guarded(call: Callable[[], object], listener: Listener) -> None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever a listener does, the answer goes on
        report(error, "a listener to the progress of an answer raised", listener)
