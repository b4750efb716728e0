"""How often one may ask: per user, per address of those who are not logged in, and for attempts to log in."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from sengol_api.resilience import Clock, Decision, Pipeline, RateLimit, RateStore, Registry
from sengol_api.resilience.clock import SYSTEM_CLOCK
from sengol_api.review.errors import RateLimitError

LimitName = Literal["requests", "logins"]
MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOptions:
    """What may be asked in a minute; as much may come at once after a minute of silence.

    Attributes:
        requests_per_minute: of one user, or of one address without a valid token.
        logins_per_minute: attempts to log in or register, of one address; ten times as many for one account from everywhere, so
            that nobody is kept out of his account by somebody who tries a few passwords.
        store: counts for all replicas; None: each counts for itself.
    """

    requests_per_minute: int = 100
    logins_per_minute: int = 10
    store: RateStore | None = None


class Limits:
    """The limits of this replica, or of all together where they have a store.

    While the store is away each replica counts for itself, so that at most replicas × limit gets through.

    Args:
        options: of the limits.
        registry: where they are entered.
        clock: whose time counts.
    """

    def __init__(self, options: LimitOptions, registry: Registry | None = None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        rates: dict[LimitName, int] = {"requests": options.requests_per_minute, "logins": options.logins_per_minute}
        self._rates = rates
        self._pipelines = {
            name: Pipeline(f"limit.{name}", RateLimit(rate=rate, period=MINUTE, store=options.store), clock=clock)
            for name, rate in rates.items()
        }
        if registry is not None:
            for pipeline in self._pipelines.values():
                registry.add(pipeline)

    async def take(self, name: LimitName, subject: str, cost: float = 1.0) -> Mapping[str, str]:
        """Count one request.

        Args:
            name: of the limit.
            subject: whose it is: ``user:…``, ``address:…``, ``account:…``.
            cost: how much of the limit it takes.

        Returns:
            the headers that tell the client where it stands (draft-ietf-httpapi-ratelimit-headers-10).

        Raises:
            RateLimitError: there were too many; its ``headers`` are the same.
        """
        decision: Decision = await self._pipelines[name]["rate_limit"].acquire_shared(subject, cost)
        headers = self._headers(name, decision)
        if not decision.allowed:
            rate = self._rates[name]
            what = "requests" if name == "requests" else "attempts to log in or register"
            error = RateLimitError(
                f"More than {rate} {what} in a minute. Wait as long as Retry-After says.",
                {"limit": rate, "periodSeconds": int(MINUTE)},
                retry_after=decision.retry_after,
            )
            raise LimitReachedError(error, headers) from None
        return headers

    def _headers(self, name: LimitName, decision: Decision) -> Mapping[str, str]:
        return {
            "RateLimit-Policy": f'"{name}";q={self._rates[name]};w={int(MINUTE)}',
            "RateLimit": f'"{name}";r={max(0, math.floor(decision.remaining))};t={math.ceil(decision.reset_after)}',
        }


class LimitReachedError(Exception):
    """A limit is reached: what the client is told, and the headers that go with it."""

    def __init__(self, error: RateLimitError, headers: Mapping[str, str]) -> None:
        super().__init__(error.message)
        self.error = error
        self.headers = headers


ACCOUNT_COST: Final = 0.1
"""Of an attempt, for the account that it is for."""


def account(email: str) -> str:
    """The subject of an account's attempts: not its address, which has no business in a shared store."""
    return "account:" + hashlib.sha256(email.lower().encode("utf-8", "replace")).hexdigest()[:32]
