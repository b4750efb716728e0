"""Steering by hand: what an administrator orders is done by every process of every replica, in one and the same order.

The audit log is what they all follow. An order is written down first and then carried out from the log, at once by the process that
took it and by all others within a second. So nothing is done that is not written down, two orders that contradict each other end
the same everywhere, and a process that starts later knows what still holds.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from sengol_api.ops.audit import Act, AuditLog
from sengol_api.resilience import Cache, CircuitState, Registry

INTERVAL: Final = 1.0
"""Seconds between two looks at the log."""
_AT_ONCE: Final = 500
_log = logging.getLogger(__name__)


class Action(StrEnum):
    """What can be ordered."""

    RESET = "circuit-breaker.reset"
    """Close it and forget its failures."""
    ISOLATE = "circuit-breaker.isolate"
    """Refuse every call until it is enabled or reset; holds for processes that start later, too."""
    ENABLE = "circuit-breaker.enable"
    """End what was set by hand; one that opened by itself stays open."""
    CLEAR = "cache.clear"
    """Forget what is kept."""
    GRANT = "admin.grant"
    REVOKE = "admin.revoke"


_STANDING: Final = (Action.RESET, Action.ISOLATE, Action.ENABLE)
_BY_HAND: Final = frozenset({CircuitState.ISOLATED, CircuitState.DISABLED})


class Steering:
    """Takes orders, and carries out those of all processes.

    Args:
        registry: of the pipelines that are steered.
        audit: the log.
        now: the present moment, in UTC.
    """

    def __init__(self, registry: Registry, audit: AuditLog, *, now: Callable[[], dt.datetime]) -> None:
        self._registry = registry
        self._now = now
        self._seen = 0
        self._lock = asyncio.Lock()
        self.audit = audit

    async def begin(self) -> None:
        """Know what still holds: a circuit breaker that was isolated is isolated in this process too."""
        self._seen = await self.audit.last_number()
        for act in await self.audit.latest(_STANDING):
            if act.action == Action.ISOLATE:
                self._do(act)

    async def order(self, action: Action, target: str, *, actor: str, actor_id: str, request_id: str) -> Act:
        """Write an order down and carry it out here; all other processes follow within about a second.

        Raises:
            DatabaseError: it could not be written down, and was not done.
        """
        act = await self.audit.add(
            Act(
                at=self._now(),
                actor=actor,
                actor_id=actor_id,
                action=action,
                target=target,
                result="done",
                request_id=request_id,
            )
        )
        _log.warning("admin act", extra={"actor": actor_id, "action": str(action), "target": target, "act": act.id})
        try:
            await self.follow()
        except Exception:  # noqa: BLE001 - whatever it is, the order stands
            _log.exception("an order is written down and will be carried out with the next look at the log", extra={"act": act.id})
        return act

    async def follow(self) -> None:
        """Carry out what was written down since the last look."""
        async with self._lock:
            while acts := await self.audit.since(self._seen, limit=_AT_ONCE):
                for act in acts:
                    self._do(act)
                    self._seen = act.id

    def _do(self, act: Act) -> None:
        try:
            self._carry_out(act)
        except Exception:  # noqa: BLE001 - one order that cannot be done must not keep those after it from being seen
            _log.exception("an order could not be carried out", extra={"act": act.id, "action": act.action})

    def _carry_out(self, act: Act) -> None:
        if act.action == Action.CLEAR:
            for name, (cache,) in self._registry.policies(Cache.kind).items():
                if act.target in ("", name):
                    cache.clear()
            return
        breaker = self._registry.breakers().get(act.target)
        if breaker is None:  # of another version's pipeline, or an act that is not ours to do
            return
        if act.action == Action.ISOLATE:
            breaker.isolate()
        elif act.action == Action.RESET or (act.action == Action.ENABLE and breaker.state in _BY_HAND):
            breaker.reset()
