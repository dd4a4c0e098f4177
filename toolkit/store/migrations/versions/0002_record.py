"""What people sign: records by their digest, and signatures on them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "record",
        sa.Column("record_id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "signature",
        sa.Column("record_id", sa.String(64), sa.ForeignKey("record.record_id"), primary_key=True),
        sa.Column("signer", sa.String(255), primary_key=True),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """Drop both; what was signed is gone then."""
    op.drop_table("signature")
    op.drop_table("record")
