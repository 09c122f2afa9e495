"""What has to be true of runs that have ended, whatever was done to them."""

import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from chaos import runs
from chaos.worlds import World
from sparring_controller.local.processes import MARK

_PATIENCE = 30.0
_OURS = {".services", ".trainer", ".judgements.db", ".judgements.db-wal", ".judgements.db-shm"}


def watch_commits(database: Path) -> None:
    """Have the database itself note each commit of a stage, whoever makes it."""
    connection = sqlite3.connect(database, timeout=60)
    with connection:
        connection.execute("CREATE TABLE chaos_commits (key TEXT, token INTEGER)")
        connection.execute(
            "CREATE TRIGGER chaos_committed AFTER UPDATE OF state ON stages WHEN NEW.state = 'done' "
            "BEGIN INSERT INTO chaos_commits VALUES (NEW.key, NEW.token); END"
        )
    connection.close()


def digests(world: World, ids: Sequence[str]) -> dict[str, Any]:
    """What each run made, by seed and place: of several runs with a seed all must be the same, or both are named."""
    found: dict[str, set[str]] = {}
    for row in runs.stages(world.database, ids):
        made = _made(row["stage"], json.loads(row["result"]))
        if made is not None:
            seed = runs.SEEDS[ids.index(row["run_id"]) % len(runs.SEEDS)]
            place = f"seed {seed}, round {row['round']}, {row['stage']}, shard {row['shard']}"
            found.setdefault(place, set()).add(made)
    return {place: " or ".join(sorted(made)) for place, made in sorted(found.items())}


def _made(stage: str, result: Mapping[str, Any]) -> str | None:
    match stage:
        case "select":
            return f"{result['file']['sha256']} dropped {sorted(result.get('dropped', {}).items())}"
        case "generate" | "judge":
            return f"{result['file']['rows']} rows, dropped {sorted(result.get('dropped', {}).items())}"
        case "train":
            return str(result["checkpoint"]["digest"])
        case _:
            return None


def wrong(world: World, ids: Sequence[str], made: Mapping[str, Any], expected: Mapping[str, Any] | None) -> list[str]:
    """All that is wrong, a sentence each."""
    found = [*commits(world.database, ids), *leftovers(world.runs_dir, ids)]
    if expected is not None:
        differing = [place for place in sorted({*made, *expected}) if made.get(place) != expected.get(place)]
        if differing:
            found.append(f"{len(differing)} digests differ from the undisturbed run's, the first: {differing[0]}")
    return [*found, *_orphans(world)]


def commits(database: Path, ids: Sequence[str]) -> Iterator[str]:
    """Stages that are not done, or were committed more than once or not by their last owner."""
    connection = sqlite3.connect(database, timeout=60)
    noted: Counter[str] = Counter(key for (key,) in connection.execute("SELECT key FROM chaos_commits"))
    tokens = dict(connection.execute("SELECT key, token FROM chaos_commits").fetchall())
    connection.close()
    for row in runs.stages(database, ids):
        place = f"{row['run_id']}, round {row['round']}, {row['stage']}, shard {row['shard']}"
        if row["state"] != "done":
            yield f"{place} is {row['state']} in a run that is done"
        elif noted[row["key"]] != 1:
            yield f"{place} was committed {noted[row['key']]} times"
        elif tokens[row["key"]] != row["token"]:
            yield f"{place} was committed with token {tokens[row['key']]}, and claimed since with {row['token']}"


def leftovers(runs_dir: Path, ids: Sequence[str]) -> Iterator[str]:
    """Temporary files, and what was put aside for an attempt that never came."""
    for path in sorted(runs_dir.rglob("*")):
        parts = path.relative_to(runs_dir).parts
        if len(parts) > 1 and parts[0] not in (*ids, ".trainer"):
            continue  # the supervisor's own, or of the runs of another scenario
        if path.name.startswith(".") and path.name not in _OURS:
            yield f"left over: {'/'.join(parts)}"
        if len(parts) == 3 and parts[0] in ids and parts[1] == "kept":
            yield f"left over: {'/'.join(parts)}"


def _orphans(world: World) -> list[str]:
    """Processes of these services that no supervisor has below it any more; what is just ending has a while to do so."""
    deadline = time.monotonic() + _PATIENCE
    while found := list(_astray(world)):
        if time.monotonic() > deadline:
            return [f"orphan: {process.pid} {' '.join(process.cmdline())[:120]}" for process in found]
        time.sleep(0.5)
    return []


def _astray(world: World) -> Iterator[psutil.Process]:
    supervisor = json.loads((world.processes.folder / "processes.json").read_text())["supervisor"]["pid"]
    for process in psutil.process_iter():
        try:
            ours = os.getsid(process.pid) == supervisor or process.environ().get(MARK) == str(world.processes.folder)
            alive = process.status() != psutil.STATUS_ZOMBIE
            below = process.pid == supervisor or supervisor in (parent.pid for parent in process.parents())
        except (psutil.Error, ProcessLookupError, PermissionError):
            continue
        if ours and alive and not below:
            yield process


def open_stages(world: World, ids: Sequence[str]) -> list[str]:
    """The state in which a run stands: every stage that is not done, with times in seconds from now."""
    names = ("run_id", "round", "stage", "shard", "state", "owner", "token", "attempt", "lapses", "error")
    times = ("lease_until", "not_before", "rung_at", "waiting_since")
    now = time.time()
    return [
        ", ".join(
            [*(f"{name} {row[name]}" for name in names), *(f"{name} {row[name] - now:+.0f} s" for name in times if row[name])]
        )
        for row in runs.stages(world.database, ids)
        if row["state"] != "done"
    ]
