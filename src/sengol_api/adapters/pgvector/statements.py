"""What PostgreSQL is asked: one statement for any number of queries."""

import math
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from sengol_api.adapters.pgvector.selection import Selection
from sengol_api.adapters.pgvector.table import VectorTable

# Vectors are of unit length, or zero: their inner product is the cosine, and unlike <=> it knows zero vectors. <#> is its negative.
_QUERIES: Final = """
WITH q AS MATERIALIZED (
    SELECT n, CAST((CAST(:queries AS real[]))[(n - 1) * :dimension + 1 : n * :dimension] AS vector) AS v
    FROM generate_series(1, CAST(:count AS integer)) AS n
)"""
_SEARCH: Final = f"""{_QUERIES}{{rows}}
SELECT q.n, h.numbers, h.distances FROM q CROSS JOIN LATERAL (
    SELECT array_agg(number) AS numbers, array_agg(distance) AS distances FROM (
        SELECT number, vector <#> q.v AS distance FROM {{source}} ORDER BY vector <#> q.v{{then}} LIMIT :more
    ) AS nearest
) AS h
"""
_ALLOWED: Final = "WHERE CASE WHEN number < :size THEN get_bit(CAST(:bits AS bytea), number) = 1 ELSE false END"
_CHOSEN: Final = ", chosen AS MATERIALIZED (SELECT {columns} FROM {table} WHERE number = ANY(CAST(:numbers AS integer[])))"
_MOST_MEMORY: Final = 256
"""MiB of the server that one search may take; above it, it goes through a file."""


@dataclass(frozen=True, slots=True)
class Question:
    """A search, without its queries.

    Attributes:
        text: in SQL.
        values: of its parameters.
        settings: of the server, for its transaction alone.
    """

    text: str
    values: dict[str, Any]
    settings: dict[str, str]


def approximate(table: VectorTable, selection: Selection, *, filtered: bool, more: int, candidates: int) -> Question:
    """By the index: the nearest that it finds for each query, in any order.

    Args:
        table: where.
        selection: rows that may be found.
        filtered: whether these are fewer than all.
        more: how many for each query, at most.
        candidates: that the index collects at a time; it takes 1 to 1000.
    """
    source = f"{table.name} {_ALLOWED}" if filtered else table.name
    values = {"bits": selection.bits, "size": selection.size} if filtered else {}
    settings = {
        "hnsw.ef_search": str(min(1000, max(1, candidates))),
        "hnsw.iterative_scan": "relaxed_order",  # the order is made here
        "hnsw.max_scan_tuples": str(max(20_000, 2 * selection.size)),  # it goes on until there are enough
        "hnsw.scan_mem_multiplier": "8",
        "enable_seqscan": "off",  # the planner thinks a filter tighter than it is, and would sort all rows for each query
        "enable_bitmapscan": "off",
        "enable_sort": "off",
    }
    return Question(_SEARCH.format(rows="", source=source, then=""), {**values, "more": more}, settings)


def exact(table: VectorTable, selection: Selection, *, more: int, settled: bool) -> Question:
    """By looking at each row that may be found, once in the table and then in memory: the nearest for each query, in any order.

    Args:
        table: where.
        selection: rows that may be found.
        more: how many for each query, at most.
        settled: of rows that are equally near take those whose ids come first, which takes longer; else any.
    """
    rows = _CHOSEN.format(table=table.name, columns="number, vector, id" if settled else "number, vector")
    size = math.ceil(len(selection) * (4 * table.dimension + 100) * 1.5 / 1024**2)
    settings = {"work_mem": f"{min(_MOST_MEMORY, max(4, size))}MB"}
    text = _SEARCH.format(rows=rows, source="chosen", then=", id" if settled else "")
    return Question(text, {"numbers": selection.numbers, "more": more}, settings)


def distances(table: VectorTable) -> sa.TextClause:
    """How far rows are from queries, each pair once: the place of the query from 1, the row's number, the distance."""
    pairs = "unnest(CAST(:places AS integer[]), CAST(:numbers AS integer[])) AS pair (place, number)"
    joined = f"FROM {pairs} JOIN q ON q.n = pair.place JOIN {table.name} AS t ON t.number = pair.number"
    return sa.text(f"{_QUERIES} SELECT pair.place, pair.number, t.vector <#> q.v AS distance {joined}")


def apply(settings: dict[str, str]) -> tuple[sa.TextClause, dict[str, str]]:
    """The statement that applies settings until the end of the transaction, in one round trip."""
    names = {f"n{place}": name for place, name in enumerate(settings)}
    values = {f"v{place}": value for place, value in enumerate(settings.values())}
    calls = ", ".join(f"set_config(:n{place}, :v{place}, true)" for place in range(len(settings)))
    return sa.text(f"SELECT {calls}"), {**names, **values}
