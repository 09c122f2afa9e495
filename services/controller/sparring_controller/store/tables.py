"""The tables. JSON is text, times are UTC wall-clock seconds since 1970; SQLite and Postgres read them alike."""

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text, UniqueConstraint, false

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("run_id", String(80), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("control", String(16), nullable=False),
    Column("requested_rounds", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("error", Text),
    Column("config", Text, nullable=False),
    Column("config_version", Integer, nullable=False, server_default="1"),
    Column("base", Text, nullable=False),
    Column("prompts", Text),
    Column("judge", Text),
    Column("settled", Boolean, nullable=False, server_default=false()),
)

stages = Table(
    "stages",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("run_id", String(80), nullable=False),
    Column("round", Integer, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("shard", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("owner", String(200)),
    Column("token", Integer, nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("lapses", Integer, nullable=False),
    Column("outages", Integer, nullable=False, server_default="0"),
    Column("not_before", Float, nullable=False),
    Column("rung_at", Float),
    Column("waiting_since", Float),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("seconds", Float),
    Column("result", Text),
    Column("progress", Text),
    Column("error", Text),
    Column("damaged", Integer, nullable=False, server_default="0"),
    UniqueConstraint("run_id", "round", "stage", "shard"),
    Index("stages_of_run", "run_id"),
    Index("stages_due", "rung_at", "state", "not_before"),
)

replies = Table(
    "replies",
    metadata,
    Column("scope", String(200), primary_key=True),
    Column("idempotency_key", String(200), primary_key=True),
    Column("request", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)

endings = Table(
    "endings",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("run_id", String(80), nullable=False),
    Column("until", Float, nullable=False),
    Column("created_at", Float, nullable=False),
)

turns = Table(
    "turns",
    metadata,
    Column("generator", String(300), primary_key=True),
    Column("stage", String(64), primary_key=True),
    Column("run_id", String(80), nullable=False),
    Column("use", String(100), nullable=False),
    Column("state", String(8), nullable=False),
    Column("asked", Float, nullable=False),
    Column("since", Float),
    Column("until", Float, nullable=False),
)
