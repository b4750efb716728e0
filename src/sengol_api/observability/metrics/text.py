"""Samples in Prometheus's text format, version 0.0.4."""

import math
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from sengol_api.observability.metrics.model import CATALOGUE, Family, Labels, Samples, Value

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPED: Final = {ord("\\"): "\\\\", ord("\n"): "\\n", ord('"'): '\\"'}
_ESCAPED_HELP: Final = {ord("\\"): "\\\\", ord("\n"): "\\n"}


def exposition(samples: Samples) -> bytes:
    """The page that Prometheus reads. Families without a sample are left out; their order is that of the catalogue."""
    lines = [line for family in CATALOGUE.values() if family.name in samples for line in _family(family, samples[family.name])]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")


def _family(family: Family, values: dict[Labels, Value]) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help.translate(_ESCAPED_HELP)}"
    yield f"# TYPE {family.name} {family.kind}"
    for labels, value in sorted(values.items()):
        shown = ",".join(f'{name}="{each.translate(_ESCAPED)}"' for name, each in zip(family.labels, labels, strict=True))
        if isinstance(value, list):
            yield from _histogram(family, shown, value)
        else:
            yield f"{family.name}{{{shown}}} {_number(value)}" if shown else f"{family.name} {_number(value)}"


def _histogram(family: Family, shown: str, value: list[float]) -> Iterator[str]:
    total, *counts = value
    before = f"{shown}," if shown else ""
    for bound, count in zip((*family.buckets, math.inf), accumulate(counts), strict=True):
        yield f'{family.name}_bucket{{{before}le="{_number(bound)}"}} {_number(count)}'
    braces = f"{{{shown}}}" if shown else ""
    yield f"{family.name}_sum{braces} {_number(total)}"
    yield f"{family.name}_count{braces} {_number(sum(counts))}"


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
