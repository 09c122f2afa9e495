"""What keeps a run going: the version of its stored config, outages of its stages, damage to their files, what is due."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Configs of before are of version 1."""
    op.add_column("runs", sa.Column("config_version", sa.Integer, nullable=False, server_default="1"))
    op.add_column("stages", sa.Column("outages", sa.Integer, nullable=False, server_default="0"))
    op.add_column("stages", sa.Column("damaged", sa.Integer, nullable=False, server_default="0"))
    op.create_index("stages_due", "stages", ["rung_at", "state", "not_before"])
