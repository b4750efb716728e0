"""A bound on how many calls run at once, so that one slow dependency cannot take everything with it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from sengol_api.resilience.counter import Counter
from sengol_api.resilience.deadline import remaining
from sengol_api.resilience.errors import BulkheadFull, DeadlineExceeded, Rejected
from sengol_api.resilience.options import above, option, whole
from sengol_api.resilience.permits import NoPermitInTime, Permits, QueueFull
from sengol_api.resilience.policy import AsyncCall, Policy, PolicyOptions, Site, SyncCall


@dataclass(frozen=True)
class Bulkhead(PolicyOptions):
    """Lets ``max_concurrent`` calls run at once and ``max_queue`` wait, first come, first served."""

    kind: ClassVar[str] = "bulkhead"

    max_concurrent: int = option(64, whole(1, 1_000_000), "calls that may run at once")
    max_queue: int = option(256, whole(0), "calls that may wait for a place; one more is rejected")
    queue_timeout: float | None = option(
        None, above(0).or_none(), "longest wait for a place; None: as long as the deadline allows", "s"
    )

    def build(self, site: Site) -> "BulkheadPolicy":
        """The policy with these options at ``site``."""
        return BulkheadPolicy(self, site)


@dataclass(frozen=True, slots=True)
class BulkheadSnapshot:
    """State and statistics of a bulkhead.

    Attributes:
        in_flight: calls that run now.
        queued: calls that wait now.
        max_concurrent: calls that may run at once.
        rejected: calls that were refused at once, because the queue was full.
        expired: calls that were refused because no place came in time.
    """

    in_flight: int
    queued: int
    max_concurrent: int
    rejected: int
    expired: int


class BulkheadPolicy(Policy[Bulkhead]):
    """Holds a place for each call while it runs."""

    kind = "bulkhead"

    def __init__(self, options: Bulkhead, site: Site) -> None:
        super().__init__(options, site)
        self._permits = Permits(options.max_concurrent)
        self._rejected = Counter()
        self._expired = Counter()

    def _apply(self, options: Bulkhead) -> None:
        self._permits.resize(options.max_concurrent)

    def link(self, inner: AsyncCall) -> AsyncCall:
        """This policy around ``inner``, for coroutine functions."""
        permits = self._permits
        take, put_back, waiting = permits.take_free, permits.put_back, permits.waiting

        async def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            try:
                queue: object = waiting or take()
            except IndexError:
                queue = True
            if queue:
                await self._wait()
            try:
                return await inner(function, args, kwargs)
            finally:
                put_back(None)
                if waiting or permits.unsettled:
                    permits.settle()

        return call

    async def _wait(self) -> None:
        options = self._options
        left = remaining()
        try:
            await self._permits.wait(options.max_queue, _shorter(options.queue_timeout, left))
        except (QueueFull, NoPermitInTime) as error:
            raise self._refuse(options, left, error) from None

    def link_sync(self, inner: SyncCall) -> SyncCall:
        """This policy around ``inner``, for plain functions."""
        permits = self._permits

        def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            try:
                queue: object = permits.waiting or permits.take_free()
            except IndexError:
                queue = True
            if queue:
                self._wait_sync()
            try:
                return inner(function, args, kwargs)
            finally:
                permits.release()

        return call

    def _wait_sync(self) -> None:
        options = self._options
        left = remaining()
        try:
            self._permits.wait_sync(options.max_queue, _shorter(options.queue_timeout, left), self.site.clock)
        except (QueueFull, NoPermitInTime) as error:
            raise self._refuse(options, left, error) from None

    def _refuse(self, options: Bulkhead, left: float | None, why: Exception) -> Rejected:
        pipeline, policy = self.site.pipeline, self.site.policy
        if isinstance(why, QueueFull):
            self._rejected.add()
            reason = f"found {options.max_concurrent} calls running and the queue of {options.max_queue} full"
            return self._refused(BulkheadFull(pipeline, policy, reason=reason))
        self._expired.add()
        if left is not None and (options.queue_timeout is None or left <= options.queue_timeout):
            return self._refused(DeadlineExceeded(pipeline, policy))
        return self._refused(BulkheadFull(pipeline, policy, reason=f"got no free place within {options.queue_timeout:g} s"))

    def snapshot(self) -> BulkheadSnapshot:
        """State and statistics now."""
        return BulkheadSnapshot(
            in_flight=self._permits.held,
            queued=len(self._permits.waiting),
            max_concurrent=self._options.max_concurrent,
            rejected=self._rejected.value,
            expired=self._expired.value,
        )


def _shorter(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
