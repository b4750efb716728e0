"""How this replica is. Open to all, never refused or timed out; without hosts, names of users or texts of errors."""

from sengol_api import __version__
from sengol_api.api import examples, ops_examples, ops_present, present, wire
from sengol_api.api.operations import Answer, Call, Example, Operation
from sengol_api.api.wire.ops import BreakersOut, CachesOut, DetailedOut, ReadyOut


async def health(call: Call) -> Answer:
    """For load balancers."""
    now = call.services.now()
    answer = wire.HealthOut(status="ok", timestamp=present.moment(now), uptime=_uptime(call), version=__version__)
    return Answer(answer, bare=True)


def _uptime(call: Call) -> float:
    return round((call.services.now() - call.services.started_at).total_seconds(), 3)


async def detailed(call: Call) -> Answer:
    """For people and monitors: everything, asked at once."""
    report = await call.services.health.report()
    answer = DetailedOut(
        status=report.status,
        timestamp=present.moment(call.services.now()),
        uptime=_uptime(call),
        version=__version__,
        checks=ops_present.checks(report.checks),
        cache=ops_present.caches(report.caches),
        circuit_breakers=ops_present.breakers(report.breakers),
        background=ops_present.background(call.services.background.snapshot()),
        in_flight=call.services.drain.snapshot().in_flight,
        response_time=ops_present.milliseconds(report.seconds),
    )
    return Answer(answer, bare=True, status=503 if report.status == "down" else 200)


async def ready(call: Call) -> Answer:
    """For the readiness probe."""
    answer = ops_present.readiness(await call.services.health.readiness())
    return Answer(answer, bare=True, status=503 if answer.reason else 200)


async def live(call: Call) -> Answer:  # noqa: ARG001 - an answer is all that it takes
    """For the liveness probe: only a stuck event loop makes it fail."""
    return Answer(wire.LiveOut(status="ok"), bare=True)


async def caches(call: Call) -> Answer:
    """The caches alone."""
    return Answer(CachesOut(cache=ops_present.caches(call.services.health.caches())), bare=True)


async def breakers(call: Call) -> Answer:
    """The circuit breakers alone."""
    return Answer(BreakersOut(circuit_breakers=ops_present.breakers(call.services.health.breakers())), bare=True)


OPERATIONS = (
    Operation(
        method="GET",
        path="/health",
        name="health",
        summary="Is the process serving?",
        description="Fast, for load balancers; asks nothing of any dependency.",
        tag="Health",
        handler=health,
        answer=wire.HealthOut,
        authenticated=False,
        timed=False,
        limit=None,
        work=None,
        example=Example(wire.HealthOut(status="ok", timestamp=examples.MOMENT, uptime=3600.5, version=__version__)),
    ),
    Operation(
        method="GET",
        path="/health/detailed",
        name="healthDetailed",
        summary="How is everything?",
        description=(
            "Every dependency is asked at once, each for a second at most; an answer serves all who ask within a second. "
            "`degraded`: something is away that can be done without. `down`, with status 503: something is away that cannot."
        ),
        tag="Health",
        handler=detailed,
        answer=DetailedOut,
        authenticated=False,
        timed=False,
        limit=None,
        work=None,
        example=Example(ops_examples.DETAILED),
        also={503: ("Something is away that this replica cannot do without.", ops_examples.DOWN)},
    ),
    Operation(
        method="GET",
        path="/health/ready",
        name="ready",
        summary="May requests be sent here?",
        description=(
            "The readiness probe. No while this replica stops, and while something of READINESS_REQUIRES is away. What the "
            "service can do without is not asked: its outage must not take all replicas out at once."
        ),
        tag="Health",
        handler=ready,
        answer=ReadyOut,
        authenticated=False,
        timed=False,
        limit=None,
        work=None,
        example=Example(ops_examples.READY),
        also={503: ("Not now.", ops_examples.NOT_READY)},
    ),
    Operation(
        method="GET",
        path="/health/live",
        name="live",
        summary="Does the event loop turn?",
        description="The liveness probe. It depends on nothing else.",
        tag="Health",
        handler=live,
        answer=wire.LiveOut,
        authenticated=False,
        timed=False,
        limit=None,
        work=None,
        example=Example(wire.LiveOut(status="ok")),
    ),
    Operation(
        method="GET",
        path="/health/cache",
        name="healthCache",
        summary="The caches",
        description="Size, hit rate and what else a cache counts, by its name; of this process.",
        tag="Health",
        handler=caches,
        answer=CachesOut,
        authenticated=False,
        timed=False,
        limit=None,
        work=None,
        example=Example(CachesOut(cache={"dvecdb.cache": ops_examples.CACHE})),
    ),
    Operation(
        method="GET",
        path="/health/circuit-breakers",
        name="healthCircuitBreakers",
        summary="The circuit breakers",
        description="State, failures, and when the next probe is let through, by their names; of this process.",
        tag="Health",
        handler=breakers,
        answer=BreakersOut,
        authenticated=False,
        timed=False,
        limit=None,
        work=None,
        example=Example(BreakersOut(circuit_breakers={"dvecdb": ops_examples.BREAKER})),
    ),
)
