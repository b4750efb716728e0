"""The figures behind the pictures, as CSV beside them: what a simulation gave, for the next run to be compared with."""

import csv
import io
from collections.abc import Mapping, Sequence

Table = dict[str, list[float | None]]
"""Columns by name."""


def to_csv(table: Mapping[str, Sequence[float | None]]) -> str:
    """A table as text, numbers with at most three decimals."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    for row in zip(*table.values(), strict=True):
        writer.writerow("" if value is None else f"{round(value, 3):g}" for value in row)
    return text.getvalue()


def from_csv(text: str) -> Table:
    """The table of a text."""
    rows = list(csv.reader(io.StringIO(text)))
    columns = zip(*rows[1:], strict=True)
    return {name: [float(cell) if cell else None for cell in column] for name, column in zip(rows[0], columns, strict=True)}


def means(values: Sequence[float | None], size: int) -> list[float | None]:
    """The mean of each ``size`` values in a row; None where there is none."""
    groups = [[value for value in values[start : start + size] if value is not None] for start in range(0, len(values), size)]
    return [sum(group) / len(group) if group else None for group in groups]
