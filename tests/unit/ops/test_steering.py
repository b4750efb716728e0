"""Orders that are carried out from the log, in its order, however its reads come back."""

import asyncio
import datetime as dt

from sengol_api.ops.audit import Act
from sengol_api.ops.steering import Action, Steering
from sengol_api.resilience import CircuitBreaker, CircuitChanged, CircuitState, Registry

NOON = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


class SlowLog:
    """A log whose first read takes longer than those after it."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.release = asyncio.Event()
        self._reads = 0

    def write(self, action: Action) -> None:
        number = len(self.acts) + 1
        self.acts.append(
            Act(id=number, at=NOON, actor="", actor_id=None, action=action, target="search", result="done", request_id="")
        )

    async def since(self, number, *, limit):
        self._reads += 1
        found = [act for act in self.acts if act.id > number][:limit]
        if self._reads == 1:
            await self.release.wait()
        return found


async def test_a_read_that_comes_late_undoes_nothing_that_came_after_it_not_even_for_a_moment():
    registry, log, states = Registry(), SlowLog(), []
    registry.pipeline("search", CircuitBreaker())
    registry.subscribe(lambda event: states.append(event.state), CircuitChanged)
    steering = Steering(registry, log, now=lambda: NOON)
    log.write(Action.ISOLATE)
    first = asyncio.create_task(steering.follow())
    await asyncio.sleep(0)
    log.write(Action.RESET)
    second = asyncio.create_task(steering.follow())
    await asyncio.sleep(0)
    log.release.set()
    await asyncio.gather(first, second)
    assert states == [CircuitState.ISOLATED, CircuitState.CLOSED]
