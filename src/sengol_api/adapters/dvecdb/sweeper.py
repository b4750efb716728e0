"""Removing collections of this index that nobody needs any more.

The server cannot say who uses a collection. Those that this process used itself go at once. Of others, which a process that ended
may have left, or another replica may be using, only one that has been there for a long time goes; and if its like comes back,
somebody needs it, and it is left alone from then on. So a mistake costs another replica one build, during which its embedded
index serves.
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
        self._used: set[Name] = set()
        self._seen: dict[Name, float] = {}
        self._removed: set[str] = set()
        self._needed: set[str] = set()

    def used(self, name: Name) -> None:
        """This process used a collection, and does so no longer when another one is kept."""
        self._used.add(name)

    async def sweep(self, kept: Name | None, found: set[Name]) -> None:
        """Remove what has to go.

        Args:
            kept: the collection that serves; None when none is needed.
            found: all collections of this index, with those of which only the mark is left.
        """
        now = self._clock.now()
        self._seen = {name: self._seen.get(name, now) for name in found}
        for name in sorted(found - {kept}):
            if name in self._used:
                await self._remove(name)
                continue
            new = self._seen[name] == now
            if new and name.fingerprint in self._removed:
                self._needed.add(name.fingerprint)
            if name.fingerprint not in self._needed and now - self._seen[name] >= self._after:
                self._removed.add(name.fingerprint)
                await self._remove(name)

    async def _remove(self, name: Name) -> None:
        await self._drop(str(name))
        await self._drop(name.mark)  # last: without it, what was changed would be taken for what its name says
        self._used.discard(name)
        self._seen.pop(name, None)
