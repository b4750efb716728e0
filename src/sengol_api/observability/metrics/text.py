"""Samples in Prometheus's text format, version 0.0.4."""

import math
from itertools import accumulate
from typing import Final

from sengol_api.observability.metrics.model import CATALOGUE, Family, Labels, Samples, Value

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPED: Final = {ord("\\"): "\\\\", ord("\n"): "\\n", ord('"'): '\\"'}
_ESCAPED_HELP: Final = {ord("\\"): "\\\\", ord("\n"): "\\n"}


def exposition(samples: Samples) -> bytes:
    """The page that Prometheus reads. Families without a sample are left out; their order is that of the catalogue."""
    lines: list[str] = []
    for family in CATALOGUE.values():
        if family.name in samples:
            _add(lines, family, samples[family.name])
    lines.append("")
    return "\n".join(lines).encode("utf-8", "backslashreplace")


def _add(lines: list[str], family: Family, values: dict[Labels, Value]) -> None:
    name = family.name
    lines.append(f"# HELP {name} {family.help.translate(_ESCAPED_HELP)}")
    lines.append(f"# TYPE {name} {family.kind}")
    bounds = [f'le="{_number(bound)}"}} ' for bound in (*family.buckets, math.inf)]
    for labels, value in sorted(values.items()):
        shown = ",".join([f'{label}="{each.translate(_ESCAPED)}"' for label, each in zip(family.labels, labels, strict=True)])
        braces = f"{{{shown}}}" if shown else ""
        if isinstance(value, list):
            total, *counts = value
            before = f"{name}_bucket{{{shown}," if shown else f"{name}_bucket{{"
            reached = [f"{int(count)}" for count in accumulate(counts)]
            lines += [before + bound + count for bound, count in zip(bounds, reached, strict=True)]
            lines.append(f"{name}_sum{braces} {_number(total)}")
            lines.append(f"{name}_count{braces} {reached[-1]}")
        else:
            lines.append(f"{name}{braces} {_number(value)}")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
