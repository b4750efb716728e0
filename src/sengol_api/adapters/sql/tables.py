"""The tables. The schema itself is made by the migrations; a test holds the two against each other."""

import datetime as dt
from typing import Any

import sqlalchemy as sa


class UtcDateTime(sa.TypeDecorator[dt.datetime]):
    """A moment in UTC. SQLite forgets the zone, so it is put back."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:  # noqa: ARG002
        """Refuse a moment without a zone, which would be read back as another one."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a moment without a time zone: {value!r}")
        return value.astimezone(dt.UTC) if value else None

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> dt.datetime | None:  # noqa: ANN401, ARG002
        """Give the moment its zone."""
        return None if value is None else value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value


metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    },
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("email", sa.String(254), nullable=False, unique=True),
    sa.Column("password_hash", sa.String(255), nullable=False),
    sa.Column("name", sa.String(200)),
    sa.Column("company", sa.String(200)),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

reviews = sa.Table(
    "reviews",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("owner_id", sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

question_sets = sa.Table(
    "question_sets",
    metadata,
    sa.Column("review_id", sa.ForeignKey("reviews.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("weights", sa.JSON, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("review_id", sa.ForeignKey("reviews.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("question_id", sa.String(120), primary_key=True),
    sa.Column("answer", sa.String(20), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", sa.String(200), primary_key=True),
    sa.Column("origin", sa.String(200), nullable=False, index=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
    # Replicas of the version before read these two; what counts is in incident_vectors.
    sa.Column("embedder", sa.String(100), nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),
)

incident_vectors = sa.Table(
    "incident_vectors",
    metadata,
    sa.Column("embedder", sa.String(100), primary_key=True),
    sa.Column("incident_id", sa.ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True, index=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),
)

corpus_origins = sa.Table(
    "corpus_origins",
    metadata,
    sa.Column("origin", sa.String(200), primary_key=True),
    sa.Column("version", sa.String(100), nullable=False),
    sa.Column("loaded_at", UtcDateTime, nullable=False),
)

admin_acts = sa.Table(
    "admin_acts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.String(254), nullable=False),
    sa.Column("actor_id", sa.String(36)),
    sa.Column("action", sa.String(60), nullable=False),
    sa.Column("target", sa.String(254), nullable=False),
    sa.Column("result", sa.String(200), nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
)
