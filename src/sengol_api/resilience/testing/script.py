"""Calls that follow a script."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class after:  # noqa: N801 - read as a word: after(0.5, "answer")
    """A step that takes time before its outcome.

    Attributes:
        seconds: that pass first.
        outcome: what comes then: an error to raise, or a result.
    """

    seconds: float
    outcome: Any = None


hang = object()
"""A step that never ends by itself."""


class Script:
    """A function whose calls end as written, one step a call; the last step repeats.

    ::

        upstream = Script(ConnectionError(), after(0.5, "slow answer"), "answer")
        await pipeline.call(upstream)

    Args:
        steps: each an exception (raised), :class:`after`, :data:`hang`, a function (called for the result), or a result.

    Attributes:
        calls: the arguments of each call.
        running: calls under way.
        most: how many ran at once at most.
        cancelled: calls that were cancelled.
    """

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps) or [None]
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.running = self.most = self.cancelled = 0

    def _step(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        step = self.steps[min(len(self.calls), len(self.steps) - 1)]
        self.calls.append((args, kwargs))
        return step

    async def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Play the next step."""
        step = self._step(args, kwargs)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            while isinstance(step, after):
                await asyncio.sleep(step.seconds)
                step = step.outcome
            if step is hang:
                await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return _outcome(step)

    def sync(self, /, *args: Any, **kwargs: Any) -> Any:
        """Play the next step as a plain function.

        Raises:
            TypeError: a step that takes time, which a plain function cannot let pass.
        """
        step = self._step(args, kwargs)
        if step is hang or isinstance(step, after):
            name = "hang" if step is hang else repr(step)
            raise TypeError(f"a plain function cannot play {name}: it takes time")
        return _outcome(step)


def _outcome(step: Any) -> Any:
    if isinstance(step, BaseException):
        raise step.with_traceback(None)  # the same instance is raised again and again: its traceback would grow
    if isinstance(step, type) and issubclass(step, BaseException):
        raise step
    return step() if isinstance(step, Callable) and not isinstance(step, type) else step  # type: ignore[arg-type]
