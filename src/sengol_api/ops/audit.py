"""What administrators did: who, what, to what, when, with what result."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act of an administrator.

    Attributes:
        id: from 1, in the order in which they were written; 0 before that.
        at: when.
        actor: who, by the account's address; ``host:NAME`` for a command on the host, by the name of the host's user.
        actor_id: the account's id; None on the host.
        action: what, as ``circuit-breaker.isolate``.
        target: what it was done to; empty for all there are.
        result: ``done``, or why not.
        request_id: of the request that asked for it, which finds it in the log; empty on the host.
    """

    id: int = 0
    at: dt.datetime
    actor: str
    actor_id: str | None
    action: str
    target: str
    result: str
    request_id: str


class AuditLog(Protocol):
    """Keeps acts for good. When a write returns, it survives a crash."""

    async def add(self, act: Act) -> Act:
        """Write an act down; the same with its number."""

    async def page(self, *, offset: int, limit: int) -> tuple[list[Act], int]:
        """A page of acts, the latest first, and how many there are."""

    async def since(self, number: int, *, limit: int) -> list[Act]:
        """Acts with a higher number, in their order. None of a lower number than those given appears later."""

    async def latest(self, actions: Sequence[str]) -> list[Act]:
        """The last act of these kinds that was done to each target, in their order."""

    async def last_number(self) -> int:
        """The number of the last act; 0 before the first."""
