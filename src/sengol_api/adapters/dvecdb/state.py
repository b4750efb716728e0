"""What the index serves from, and how its building goes on."""

from dataclasses import dataclass, replace
from typing import Any

from sengol_api.adapters.dvecdb.errors import IndexNotReady, IndexRebuilding
from sengol_api.adapters.dvecdb.keys import KeyBook
from sengol_api.resilience import Clock


@dataclass(frozen=True, slots=True)
class Serving:
    """A collection that is known to hold what the records hold.

    Attributes:
        collection: its name in the server; empty when there are no records, and so none is needed.
        version: of the records.
        count: vectors in it.
        book: from its keys to our ids.
    """

    collection: str
    version: str
    count: int
    book: KeyBook


@dataclass(frozen=True, slots=True)
class Progress:
    """How the building of the index goes on.

    Attributes:
        active: whether it is being built now.
        done: vectors that the new collection has.
        total: vectors that it will have.
        started_at: of the present or the last build, seconds since the epoch; None before the first.
        finished_at: of the last build that came to its end, likewise.
        completed: builds that came to their end.
        last_error: why the work waits or had to wait: the name of the error and its text, which holds nothing of a server's; None
            since the last success.
    """

    active: bool = False
    done: int = 0
    total: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    completed: int = 0
    last_error: str | None = None


class Standing:
    """How the index stands. One task changes it; any thread may read, and say that the index is lost.

    Attributes:
        serving: what searches are answered from; None when they cannot be.
        paused: what served until a change of the records could not be brought to it.
        progress: of the building.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = (0.0, 0)  # when the filling began, and with how many vectors
        self.serving: Serving | None = None
        self.paused: Serving | None = None
        self.progress = Progress()

    @property
    def last(self) -> Serving | None:
        """What serves, or could again."""
        return self.serving or self.paused

    def _tell(self, **changes: Any) -> None:  # noqa: ANN401 - fields of Progress
        self.progress = replace(self.progress, **changes)

    def forget(self) -> None:
        """Nothing is known."""
        self.serving = self.paused = None

    def drop(self, serving: Serving) -> bool:
        """Serve no longer from that collection; False when it is not what serves or could."""
        last = self.last
        if last is None or last.collection != serving.collection:
            return False
        self.forget()
        return True

    def pause(self, serving: Serving) -> None:
        """Serve no longer from that, until it has been looked at again."""
        if serving is self.serving:
            self.serving, self.paused = None, serving

    def serve(self, serving: Serving) -> None:
        """Serve from that."""
        self.serving, self.paused = serving, None
        self._tell(active=False, done=serving.count, total=serving.count)

    def expect_build(self, total: int) -> None:
        """A build is due."""
        self._began = (self._clock.now(), 0)
        self._tell(active=True, done=0, total=total)

    def begin_build(self, done: int, total: int) -> None:
        """A build begins, or goes on from where another one ended."""
        self._tell(active=True, done=done, total=total, started_at=self._clock.wall())
        self.begin_filling(done)

    def begin_filling(self, done: int) -> None:
        """From now on the collection is filled here: what the remaining time is worked out from."""
        self._began = (self._clock.now(), done)

    def filled(self, done: int) -> None:
        """So many vectors are there."""
        self._tell(done=done)

    def built(self) -> None:
        """A build came to its end."""
        self._tell(completed=self.progress.completed + 1, finished_at=self._clock.wall())

    def failed(self, said: str) -> bool:
        """Something went wrong; whether it is news."""
        news = self.progress.last_error != said
        self._tell(last_error=said)
        return news

    def succeeded(self) -> None:
        """Nothing is wrong any more."""
        if self.progress.last_error is not None:
            self._tell(last_error=None)

    def why_not(self) -> IndexNotReady:
        """The error for who cannot be served."""
        progress = self.progress
        if progress.active:
            return IndexRebuilding(
                f"The index in d-vecDB is being built from the records: {progress.done} of {progress.total} vectors are there.",
                {"done": progress.done, "total": progress.total},
                retry_after=self._seconds_left(),
            )
        because = f" ({progress.last_error})" if progress.last_error else ""
        return IndexNotReady(f"The index in d-vecDB is not known to be complete yet{because}.")

    def _seconds_left(self) -> float | None:
        began, had = self._began
        more = self.progress.done - had
        if more <= 0:
            return None
        return (self._clock.now() - began) / more * (self.progress.total - self.progress.done)
