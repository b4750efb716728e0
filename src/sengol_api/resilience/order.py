"""Which policies make no sense outside of which others, and why."""

from collections.abc import Iterator, Sequence

_WHY_NOT: dict[tuple[str, str], str] = {
    ("retry", "fallback"): "a fallback answers every failure, so the retry would never see one",
    ("circuit_breaker", "fallback"): "a fallback answers every failure, so the breaker would never see one",
    ("hedge", "fallback"): "a fallback answers every failure, so a hedge would race alternatives against the work",
    ("cache", "fallback"): "the answer of an alternative would be kept as if it were the real one",
    ("retry", "cache"): "a value that the cache has needs no retry, and a stale one would be served before any retry was made",
    ("circuit_breaker", "cache"): "an open breaker would keep callers from values that the cache has",
    ("bulkhead", "cache"): "values that the cache has would take places from calls that need them",
    ("adaptive_limit", "cache"): "answers of the cache would be taken for the speed of the service behind it",
    ("adaptive_timeout", "cache"): "answers of the cache would be taken for the speed of the service behind it",
    ("adaptive_limit", "bulkhead"): "the wait for a place would be taken for the speed of the service; put the bulkhead outside",
    ("adaptive_timeout", "bulkhead"): "the wait for a place would be taken for the speed of the service; put the bulkhead outside",
    ("adaptive_timeout", "admission"): "the wait in line would be taken for the speed of the service; put the admission outside",
    ("hedge", "cache"): "callers with the same key share one call, so the second one would win nothing",
    ("circuit_breaker", "retry"): "calls that are between attempts would go on against an open breaker; put the retry outside",
    ("bulkhead", "retry"): "a call would hold its place while it sleeps between attempts; put the retry outside",
    ("adaptive_limit", "retry"): "a call would hold its place while it sleeps between attempts; put the retry outside",
    ("adaptive_timeout", "retry"): "it would learn the time of all attempts and pauses together",
    ("hedge", "retry"): "each of the two would retry for itself; put the retry outside",
    ("retry", "admission"): "a call that was let in would have to ask again at each attempt; put the admission outside",
    (
        "circuit_breaker",
        "admission",
    ): "calls would be turned away for a dependency's sake before it is their turn; put the admission outside",
    ("bulkhead", "admission"): "a call would hold its place while it waits to be let in; put the admission outside",
    ("adaptive_limit", "admission"): "a call would hold its place while it waits to be let in; put the admission outside",
    ("hedge", "admission"): "both of the two would have to be let in; put the admission outside",
    ("bulkhead", "hedge"): "the second call would run in the place of the first, over the limit; put the hedge outside",
    ("adaptive_limit", "hedge"): "the second call would run in the place of the first, over the limit; put the hedge outside",
}
_MANY = {"timeout", "fallback"}
_LIMITS = {"timeout": ("seconds", "seconds"), "adaptive_timeout": ("min_timeout", "max_timeout")}


def contradictions(policies: Sequence[tuple[str, object]]) -> Iterator[str]:
    """What is wrong with an order of policies.

    Args:
        policies: kind and options of each, outermost first.
    """
    for outer in range(len(policies)):
        kind, options = policies[outer]
        for inner_kind, inner_options in policies[outer + 1 :]:
            if (kind, inner_kind) in _WHY_NOT:
                yield f"{kind} outside of {inner_kind} makes no sense: {_WHY_NOT[kind, inner_kind]}"
            elif kind == "chaos":
                yield f"chaos outside of {inner_kind} makes no sense: the faults would not reach it; put chaos last"
            elif kind == inner_kind and kind not in _MANY:
                yield f"two of {kind} make no sense: take one"
            else:
                yield from _never(kind, options, inner_kind, inner_options)


def _never(kind: str, options: object, inner_kind: str, inner_options: object) -> Iterator[str]:
    """What would never happen, because a time limit ends before it."""
    longest, inner_shortest = _limit(kind, options, 1), _limit(inner_kind, inner_options, 0)
    if longest is not None and inner_shortest is not None and inner_shortest >= longest:
        inner = inner_kind.replace("_", " ")
        yield f"the inner {inner} of {inner_shortest:g} s would never fire inside of one of {longest:g} s: make it shorter"
    if kind == "hedge":
        yield from _no_hedge(options, inner_kind, inner_options)
    if inner_kind == "hedge":
        yield from _no_hedge(inner_options, kind, options)


def _no_hedge(hedge: object, kind: str, options: object) -> Iterator[str]:
    delay, limit = getattr(hedge, "delay", None), _limit(kind, options, 1)
    if delay is not None and limit is not None and delay >= limit:
        what = kind.replace("_", " ")
        yield f"a hedge after {delay:g} s would never start, since the {what} ends a call at {limit:g} s: make it shorter"


def _limit(kind: str, options: object, which: int) -> float | None:
    """The shortest (0) or longest (1) limit of a policy; None for one that limits no time."""
    limit: float | None = getattr(options, _LIMITS[kind][which], None) if kind in _LIMITS else None
    return limit
