"""pgvector: vectors searched by PostgreSQL itself, for users who have it."""

from sengol_api.adapters.pgvector.index import PgVectorIndex, PgVectorOptions

__all__ = ["PgVectorIndex", "PgVectorOptions"]
