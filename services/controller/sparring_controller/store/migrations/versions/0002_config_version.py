"""The version in which the config of a run is stored (`config_versions.py`)."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Configs of before are of version 1."""
    op.add_column("runs", sa.Column("config_version", sa.Integer, nullable=False, server_default="1"))
