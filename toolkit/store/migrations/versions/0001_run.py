"""The register of runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "run",
        sa.Column("run_id", sa.String(32), primary_key=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("collectors", sa.JSON, nullable=False),
        sa.Column("targets", sa.Integer, nullable=False),
        sa.Column("gaps", sa.Integer, nullable=False),
        sa.Column("manifest_sha256", sa.String(64), nullable=False),
    )


def downgrade() -> None:
    """Drop the table; the runs themselves stay, and can be registered again."""
    op.drop_table("run")
