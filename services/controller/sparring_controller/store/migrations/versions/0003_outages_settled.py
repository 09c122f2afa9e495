"""How often a service went away in the middle of a stage; whether a run is over; which stages are due."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Runs of before are looked at once more, and then known to be over."""
    op.add_column("stages", sa.Column("outages", sa.Integer, nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("settled", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_index("stages_due", "stages", ["rung_at", "state", "not_before"])
