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
            elif kind == inner_kind == "timeout" and getattr(inner_options, "seconds", 0) >= getattr(options, "seconds", 0):
                yield (
                    f"the inner timeout of {getattr(inner_options, 'seconds', 0):g} s would never fire "
                    f"inside of one of {getattr(options, 'seconds', 0):g} s: make it shorter"
                )
