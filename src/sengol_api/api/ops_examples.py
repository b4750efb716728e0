"""Answers of the health and admin routes as the documentation shows them."""

from typing import Final

from sengol_api import __version__
from sengol_api.api.examples import MOMENT
from sengol_api.api.wire import Success
from sengol_api.api.wire import ops as wire

BREAKER: Final = wire.BreakerOut(
    state="OPEN",
    failure_count=5,
    recent_failures=5,
    success_count=0,
    rejected=112,
    probes=0,
    next_attempt="2026-11-24T09:30:42.000Z",
    retry_after=42.0,
    since="2026-11-24T09:29:42.000Z",
)
CACHE: Final = wire.CacheOut(
    size=45,
    max_size=1000,
    bytes=612_400,
    max_bytes=134_217_728,
    hit_rate="78.5%",
    hits=301,
    misses=84,
    coalesced=5,
    stale_served=1,
    evictions=0,
    expirations=39,
    in_flight=0,
    shared_tier="CLOSED",
    shared_tier_hits=12,
    shared_tier_errors=0,
)
DATABASE: Final = wire.CheckOut(status="ok", response_time=1.4)
DETAILED: Final = wire.DetailedOut(
    status="degraded",
    timestamp=MOMENT,
    uptime=3600.5,
    version=__version__,
    checks={
        "database": DATABASE,
        "dvecdb": wire.CheckOut(status="down", response_time=1000.3, reason="no answer within 1000 ms", circuit_breaker=BREAKER),
    },
    cache={"dvecdb.cache": CACHE},
    circuit_breakers={"dvecdb": BREAKER},
    background={
        "orders of administrators": wire.WorkOut(state="resting", starts=3601, failures=0, failures_in_a_row=0, last_error=None),
    },
    in_flight=3,
    response_time=1000.9,
)
_AWAY: Final = wire.CheckOut(status="down", response_time=1000.2, reason="no answer within 1000 ms")
DOWN: Final = wire.DetailedOut(
    status="down",
    timestamp=MOMENT,
    uptime=3600.5,
    version=__version__,
    checks={"database": _AWAY},
    cache={},
    circuit_breakers={},
    background={},
    in_flight=0,
    response_time=1000.4,
)
READY: Final = wire.ReadyOut(status="ready", checks={"database": DATABASE})
NOT_READY: Final = wire.ReadyOut(status="not_ready", reason="without database", checks={"database": _AWAY})
STEERED: Final = Success(data=wire.SteeredOut(name="dvecdb", act=17, circuit_breaker=BREAKER))
CLEARED: Final = Success(data=wire.ClearedOut(cleared=["dvecdb.cache", "openai.chat", "review"], act=18))
ACT: Final = wire.ActOut(
    id=17,
    at=MOMENT,
    actor="admin@example.com",
    actor_id="0f7d4c1e-9a53-4d0e-8c11-7f1c1c1e2b1a",
    action="circuit-breaker.reset",
    target="dvecdb",
    result="done",
    request_id="9b2f0c4e",
)
AUDIT: Final = Success(data=wire.AuditOut(acts=[ACT], page=1, limit=20, total=17))
