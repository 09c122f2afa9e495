"""Runs, stages and replies, as they were before there were migrations.

A database of that time is taken over: it has no `alembic_version`, and may lack columns that came later, which are null there.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TABLES = (
    sa.Table(
        "runs",
        sa.MetaData(),
        sa.Column("run_id", sa.String(80), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("control", sa.String(16), nullable=False),
        sa.Column("requested_rounds", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("config", sa.Text, nullable=False),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("prompts", sa.Text),
        sa.Column("judge", sa.Text),
    ),
    sa.Table(
        "stages",
        sa.MetaData(),
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.String(80), nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("shard", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("owner", sa.String(200)),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("lapses", sa.Integer, nullable=False),
        sa.Column("not_before", sa.Float, nullable=False),
        sa.Column("rung_at", sa.Float),
        sa.Column("waiting_since", sa.Float),
        sa.Column("started_at", sa.Float),
        sa.Column("finished_at", sa.Float),
        sa.Column("seconds", sa.Float),
        sa.Column("result", sa.Text),
        sa.Column("progress", sa.Text),
        sa.Column("error", sa.Text),
        sa.UniqueConstraint("run_id", "round", "stage", "shard"),
        sa.Index("stages_of_run", "run_id"),
    ),
    sa.Table(
        "replies",
        sa.MetaData(),
        sa.Column("scope", sa.String(200), primary_key=True),
        sa.Column("idempotency_key", sa.String(200), primary_key=True),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    ),
)


def upgrade() -> None:
    """Make the tables that are not there, and the columns that are missing in those that are."""
    connection = op.get_bind()
    for table in _TABLES:
        table.create(connection, checkfirst=True)
        there = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
        for column in (each for each in table.columns if each.name not in there):
            op.add_column(table.name, sa.Column(column.name, column.type))
