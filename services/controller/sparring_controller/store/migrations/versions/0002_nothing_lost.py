"""What keeps a run whole: config versions, runs that are over, outages and damage of stages, what is due, turns, endings."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Configs of before are of version 1. Stages that wait were to be rung for by a message that may be lost: ring anew."""
    op.add_column("runs", sa.Column("config_version", sa.Integer, nullable=False, server_default="1"))
    op.add_column("runs", sa.Column("settled", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("stages", sa.Column("outages", sa.Integer, nullable=False, server_default="0"))
    op.add_column("stages", sa.Column("damaged", sa.Integer, nullable=False, server_default="0"))
    op.create_index("stages_due", "stages", ["rung_at", "state", "not_before"])
    op.execute("UPDATE stages SET rung_at = NULL WHERE state = 'waiting'")
    op.create_table(
        "endings",
        sa.Column("job_id", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.String(80), nullable=False),
        sa.Column("until", sa.Float, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_table(
        "turns",
        sa.Column("generator", sa.String(300), primary_key=True),
        sa.Column("stage", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.String(80), nullable=False),
        sa.Column("use", sa.String(100), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("asked", sa.Float, nullable=False),
        sa.Column("since", sa.Float),
        sa.Column("until", sa.Float, nullable=False),
    )
