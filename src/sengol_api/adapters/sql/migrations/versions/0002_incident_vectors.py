"""Vectors of several embedders for one incident.

The first half of a move, so that replicas of the version before can run beside this one: the old columns of ``incidents`` stay
filled, and a row that such a replica wrote is read from them (see ``adapters/sql/vectors.py``). The version after this one neither
fills nor reads them any more; its migration copies once more what is only there, and lets them be NULL. The one after that drops
them.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "incident_vectors",
        sa.Column("embedder", sa.String(100), nullable=False),
        sa.Column("incident_id", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("embedder", "incident_id", name="pk_incident_vectors"),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name="fk_incident_vectors_incident_id", ondelete="CASCADE"),
    )
    op.create_index("ix_incident_vectors_incident_id", "incident_vectors", ["incident_id"])
    op.execute(
        "INSERT INTO incident_vectors (embedder, incident_id, digest, vector) SELECT embedder, id, digest, vector FROM incidents"
    )
