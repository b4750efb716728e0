"""What administrators did.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "admin_acts",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(254), nullable=False),
        sa.Column("actor_id", sa.String(36)),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("target", sa.String(254), nullable=False),
        sa.Column("result", sa.String(200), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
    )
