"""What PostgreSQL is asked: one statement for any number of queries."""

from typing import Final

import sqlalchemy as sa

from sengol_api.adapters.pgvector.table import VectorTable

# Vectors are of unit length, or zero: their inner product is the cosine, and unlike <=> it knows zero vectors. <#> is its negative.
_QUERIES: Final = (
    "WITH q AS MATERIALIZED (SELECT n, "
    "CAST((CAST(:queries AS real[]))[(n - 1) * :dimension + 1 : n * :dimension] AS vector) AS v "
    "FROM generate_series(1, CAST(:count AS integer)) AS n)"
)
_ANSWER: Final = (
    "SELECT q.n, h.numbers, h.distances FROM q CROSS JOIN LATERAL ("
    "SELECT array_agg(number ORDER BY distance, id) AS numbers, array_agg(distance ORDER BY distance, id) AS distances FROM ("
)


def index_settings(candidates: int, *, rows: int) -> dict[str, str]:
    """How the server searches by the index.

    Args:
        candidates: that it collects at a time; it takes 1 to 1000.
        rows: of the table: so far it goes on when a filter leaves too few.
    """
    return {
        "hnsw.ef_search": str(min(1000, max(1, candidates))),
        "hnsw.iterative_scan": "relaxed_order",  # the order is made afterwards
        "hnsw.max_scan_tuples": str(max(20_000, 2 * rows)),
        "hnsw.scan_mem_multiplier": "8",
        "enable_seqscan": "off",  # the planner thinks a filter tighter than it is, and would sort all rows for each query
        "enable_bitmapscan": "off",
        "enable_sort": "off",
    }


def apply(wanted: dict[str, str]) -> tuple[sa.TextClause, dict[str, str]]:
    """The statement that applies settings until the end of the transaction, in one round trip."""
    names = {f"n{place}": name for place, name in enumerate(wanted)}
    values = {f"v{place}": value for place, value in enumerate(wanted.values())}
    calls = ", ".join(f"set_config(:n{place}, :v{place}, true)" for place in range(len(wanted)))
    return sa.text(f"SELECT {calls}"), {**names, **values}


def approximate(table: VectorTable, *, filtered: bool) -> sa.TextClause:
    """By the index: the ``:more`` nearest that it finds for each query, in order."""
    bits = "WHERE CASE WHEN number < :size THEN get_bit(CAST(:bits AS bytea), number) = 1 ELSE false END " if filtered else ""
    nearest = f"SELECT number, id, vector <#> q.v AS distance FROM {table.name} {bits}ORDER BY vector <#> q.v LIMIT :more"
    return sa.text(f"{_QUERIES} {_ANSWER}{nearest}) AS nearest) AS h")


def exact(table: VectorTable) -> sa.TextClause:
    """By looking at every row that may be found: the ``:more`` nearest for each query, in order."""
    rows = f"chosen AS MATERIALIZED (SELECT number, id, vector FROM {table.name} WHERE number = ANY(CAST(:numbers AS integer[])))"
    nearest = "SELECT number, id, chosen.vector <#> q.v AS distance FROM chosen ORDER BY distance, id LIMIT :more"
    return sa.text(f"{_QUERIES}, {rows} {_ANSWER}{nearest}) AS nearest) AS h")


def compare(table: VectorTable) -> sa.TextClause:
    """The distances of some rows from one query."""
    rows = f"FROM {table.name} WHERE number = ANY(CAST(:numbers AS integer[]))"
    return sa.text(f"SELECT number, vector <#> CAST(CAST(:query AS real[]) AS vector) AS distance {rows}")
