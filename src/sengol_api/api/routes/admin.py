"""What administrators do: steer circuit breakers, empty caches, read what was done. Every act stands in the audit log."""

from collections.abc import Awaitable, Callable, Iterable

from sengol_api.api import ops_examples, ops_present
from sengol_api.api.operations import Answer, Call, Example, Operation
from sengol_api.api.wire import PageIn, Success
from sengol_api.api.wire.ops import AuditOut, CacheQuery, ClearedOut, SteeredOut
from sengol_api.ops.audit import Act
from sengol_api.ops.steering import Action
from sengol_api.resilience import Priority
from sengol_api.review.errors import NotFoundError


async def _order(call: Call, action: Action, target: str) -> Act:
    return await call.services.steering.order(
        action,
        target,
        actor=call.user.email,
        actor_id=call.user.id,
        request_id=call.request.scope["state"]["request_id"],
    )


def _known(kind: str, name: str, names: Iterable[str]) -> None:
    there = sorted(names)
    if name not in there:
        raise NotFoundError(f"There is no {kind} of this name; there are {', '.join(there) or 'none'}.", {"known": there})


def steer(action: Action) -> Callable[[Call], Awaitable[Answer]]:
    """A handler that orders this for the circuit breaker of the path."""

    async def handle(call: Call) -> Answer:
        name = call.path["name"]
        _known("circuit breaker", name, call.services.registry.breakers())
        act = await _order(call, action, name)
        seen = call.services.health.breakers()[name]
        return Answer(SteeredOut(name=name, act=act.id, circuit_breaker=ops_present.breaker(seen)))

    return handle


async def clear(call: Call) -> Answer:
    """Empty one cache, or all."""
    query: CacheQuery = call.query
    names = sorted(call.services.registry.policies("cache"))
    if query.name is not None:
        _known("cache", query.name, names)
    act = await _order(call, Action.CLEAR, query.name or "")
    return Answer(ClearedOut(cleared=names if query.name is None else [query.name], act=act.id))


async def audit(call: Call) -> Answer:
    """A page of what administrators did."""
    page: PageIn = call.query
    acts, total = await call.services.steering.audit.page(offset=(page.page - 1) * page.limit, limit=page.limit)
    return Answer(AuditOut(acts=[ops_present.act(each) for each in acts], page=page.page, limit=page.limit, total=total))


_STEERING = {
    "reset": (Action.RESET, "Close it and forget its failures, whoever opened it."),
    "isolate": (
        Action.ISOLATE,
        "Refuse every call until it is enabled or reset. It holds for replicas that start later, too.",
    ),
    "enable": (Action.ENABLE, "End what was set by hand. A breaker that opened by itself stays open."),
}
OPERATIONS = (
    *(
        Operation(
            method="POST",
            path=f"/admin/circuit-breakers/{{name}}/{word}",
            name=f"{word}CircuitBreaker",
            summary=f"{word.capitalize()} a circuit breaker",
            description=f"{text} Done here at once, and by every other process and replica within about a second.",
            tag="Admin",
            handler=steer(action),
            answer=Success[SteeredOut],
            admin=True,
            priority=Priority.CRITICAL,
            example=Example(ops_examples.STEERED),
        )
        for word, (action, text) in _STEERING.items()
    ),
    Operation(
        method="DELETE",
        path="/admin/cache",
        name="clearCaches",
        summary="Empty the caches",
        description="All, or the one that `name` names: here at once, in every other process and replica within about a second.",
        tag="Admin",
        handler=clear,
        query=CacheQuery,
        answer=Success[ClearedOut],
        admin=True,
        priority=Priority.CRITICAL,
        errors=("NOT_FOUND",),
        example=Example(ops_examples.CLEARED),
    ),
    Operation(
        method="GET",
        path="/admin/audit",
        name="audit",
        summary="What administrators did",
        description="Who, what, to what, when and with what result; the latest first, a page at a time.",
        tag="Admin",
        handler=audit,
        query=PageIn,
        answer=Success[AuditOut],
        admin=True,
        priority=Priority.CRITICAL,
        example=Example(ops_examples.AUDIT),
    ),
)
