"""That the process is there. These routes touch nothing and are never refused or timed out."""

from sengol_api import __version__
from sengol_api.api import examples, present, wire
from sengol_api.api.operations import Answer, Call, Example, Operation


async def health(call: Call) -> Answer:
    """For load balancers."""
    now = call.services.now()
    uptime = round((now - call.services.started_at).total_seconds(), 3)
    return Answer(wire.HealthOut(status="ok", timestamp=present.moment(now), uptime=uptime, version=__version__), bare=True)


async def live(call: Call) -> Answer:  # noqa: ARG001 - an answer is all that it takes
    """For the liveness probe: only a stuck event loop makes it fail."""
    return Answer(wire.LiveOut(status="ok"), bare=True)


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
        path="/health/live",
        name="live",
        summary="Does the event loop turn?",
        description="The liveness probe.",
        tag="Health",
        handler=live,
        answer=wire.LiveOut,
        authenticated=False,
        timed=False,
        limit=None,
        work=None,
        example=Example(wire.LiveOut(status="ok")),
    ),
)
