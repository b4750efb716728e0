"""The first schema.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("name", sa.String(200)),
        sa.Column("company", sa.String(200)),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("owner_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_reviews_owner_id", ondelete="CASCADE"),
    )
    op.create_index("ix_reviews_owner_id", "reviews", ["owner_id"])
    op.create_table(
        "question_sets",
        sa.Column("review_id", sa.String(36), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("weights", sa.JSON, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("review_id", "revision", name="pk_question_sets"),
        sa.ForeignKeyConstraint(["review_id"], ["reviews.id"], name="fk_question_sets_review_id", ondelete="CASCADE"),
    )
    op.create_table(
        "answers",
        sa.Column("review_id", sa.String(36), nullable=False),
        sa.Column("question_id", sa.String(120), nullable=False),
        sa.Column("answer", sa.String(20), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("review_id", "question_id", name="pk_answers"),
        sa.ForeignKeyConstraint(["review_id"], ["reviews.id"], name="fk_answers_review_id", ondelete="CASCADE"),
    )
    op.create_table(
        "incidents",
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("origin", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("embedder", sa.String(100), nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_incidents_origin", "incidents", ["origin"])
    op.create_table(
        "corpus_origins",
        sa.Column("origin", sa.String(200), primary_key=True),
        sa.Column("version", sa.String(100), nullable=False),
        sa.Column("loaded_at", MOMENT, nullable=False),
    )
