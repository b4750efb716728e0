"""Removing collections of this index that nobody needs any more.

The server cannot say who uses a collection. Those that this process used itself go at once. Others, which a process that ended
may have left or another replica may be using, go when they are older than ours and have been there for a long time. If one of them
comes back, or ours has to be built a second time for the same state of the records, others are at work, and theirs are left alone
from then on. So a mistake costs another replica one build, during which its embedded index serves.
"""

from collections.abc import Awaitable, Callable

from sengol_api.adapters.dvecdb.names import Name
from sengol_api.resilience import Clock


class Sweeper:
    """Removes old collections.

    Args:
        drop: removes one by its name.
        after: seconds that another's collection has been seen for.
        clock: whose time counts.
    """

    def __init__(self, drop: Callable[[str], Awaitable[None]], *, after: float, clock: Clock) -> None:
        self._drop = drop
        self._after = after
        self._clock = clock
        self._kept: Name | None = None
        self._used: set[Name] = set()
        self._seen: dict[Name, float] = {}
        self._removed: set[str] = set()
        self._needed: set[str] = set()

    async def sweep(self, kept: Name | None, found: set[Name]) -> None:
        """Remove what has to go.

        Args:
            kept: the collection that serves; None when none is needed.
            found: all collections of this index, with those of which only the mark is left.
        """
        now = self._clock.now()
        others = found - {kept}
        new = others - self._seen.keys()
        self._seen = {name: self._seen.get(name, now) for name in others}
        self._needed |= self._in_use(kept, others, new)
        for name in sorted(others):
            if name in self._used:
                await self._remove(name)
            elif self._is_left_behind(name, kept, now):
                self._removed.add(name.fingerprint)
                await self._remove(name)
        if kept is not None:
            self._kept = kept
            self._used.add(kept)

    def _in_use(self, kept: Name | None, others: set[Name], new: set[Name]) -> set[str]:
        """The states that somebody else is known to be at work with, by their fingerprints."""
        before = self._kept
        if before is not None and kept is not None and kept != before and kept.fingerprint == before.fingerprint:
            return {name.fingerprint for name in others - self._used}  # ours was lost, and with it all that nobody needs
        return {name.fingerprint for name in new if name.fingerprint in self._removed}

    def _is_left_behind(self, name: Name, kept: Name | None, now: float) -> bool:
        older = kept is None or name.serial < kept.serial
        return older and name.fingerprint not in self._needed and now - self._seen[name] >= self._after

    async def _remove(self, name: Name) -> None:
        await self._drop(str(name))
        await self._drop(name.mark)  # last: without it, what was changed would be taken for what its name says
        self._used.discard(name)
        self._seen.pop(name, None)
