"""What a run costs beside its engines: a real controller, Redis and workers against engines that answer at once.

    .venv/bin/python benchmarks/controller.py

One round of 2, 20 and 200 thousand prompts with 4 answers of 32 tokens each, in shards of 128, as every run has them. Each size
has processes and a folder of its own, and one client that follows the run's events, as `sparring run` does. Seconds are from
`POST rounds` to the commit of the last stage; they hold every request, file and commit of the round, and the engines' own
share, as all processes have the machine's cores together. Then a controller is left alone beside finished runs of 1,402 stages.
"""

import argparse
import json
import shutil
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from controller_sides.engines import K
from controller_sides.services import ENGINES, Stack, Used, stack

MOST_SECONDS = 1.5
"""A thousand prompts."""

SPREAD = 0.2
HELDOUT = 64
STAGES_OF_FINISHED = 1402


@dataclass(frozen=True)
class Costs:
    """One run: seconds and the CPU seconds of each process for a thousand prompts, and the most that each took."""

    prompts: int
    stages: int
    seconds: float
    seconds_per_thousand: float
    cpu_per_thousand: dict[str, float]
    peak_mib: dict[str, float]
    redis_peak_mib: float
    database_mib: float


@dataclass(frozen=True)
class Idle:
    """CPU seconds per minute of a controller beside so many finished runs."""

    runs: int
    stages: int
    cpu_per_minute: float


def config(folder: Path, prompts: int, shard_size: int) -> dict[str, Any]:
    """A run of one round over that many prompts, whose files are written beside it."""
    model = folder / "base"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_text("weights")
    for name, first, count in (("train", 0, prompts), ("heldout", prompts, HELDOUT)):
        lines = (json.dumps({"prompt": f"What comes after {number}?"}) for number in range(first, first + count))
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    source = {"source": str(folder / "train.jsonl"), "heldout_source": {"source": str(folder / "heldout.jsonl")}}
    return {
        "name": "cost",
        "rounds": 1,
        "policy": {"model": str(model)},
        "prompts": source,
        "sampling": {"k": K, "max_tokens": 64, "shard_size": shard_size},
        "evaluation": {"prompts": HELDOUT},
    }


def play(running: Stack, wanted: dict[str, Any]) -> tuple[str, float]:
    """Have the round played; the run's id, and seconds from the request to the last commit."""
    with httpx.Client(base_url=running.controller, timeout=600) as http:
        run_id = http.post("/v1/runs", json=wanted).raise_for_status().json()["run_id"]
        began = time.time()
        http.post(f"/v1/runs/{run_id}/rounds").raise_for_status()
        follower = threading.Thread(target=_follow, args=(running.controller, run_id), daemon=True)
        follower.start()
        follower.join()
        status = http.get(f"/v1/runs/{run_id}").raise_for_status().json()
        if status["status"] != "done":
            sys.exit(f"The run is {status['status']}: {status['error']}")
    last = _asked(running, "SELECT max(finished_at) FROM stages WHERE run_id = ?", run_id)
    return run_id, last - began


def _follow(address: str, run_id: str) -> None:
    with httpx.stream("GET", f"{address}/v1/runs/{run_id}/events", timeout=None) as events:
        for _ in events.iter_raw():
            pass


def _asked(running: Stack, question: str, *values: Any) -> Any:
    connection = sqlite3.connect(running.database)
    try:
        return connection.execute(question, values).fetchone()[0]
    finally:
        connection.close()


def cost(folder: Path, prompts: int) -> Costs:
    """One run on processes of its own."""
    first, wanted = config(folder / "first", 128, 128), config(folder / "run", prompts, 128)
    with stack(folder) as running:
        play(running, first)  # until the workers are there
        before = running.used()
        run_id, seconds = play(running, wanted)
        after = running.used()
        stages = _asked(running, "SELECT count(*) FROM stages WHERE run_id = ?", run_id)
        thousands = prompts / 1000
        return Costs(
            prompts=prompts,
            stages=stages,
            seconds=round(seconds, 2),
            seconds_per_thousand=round(seconds / thousands, 3),
            cpu_per_thousand={n: round((after[n].cpu_seconds - before[n].cpu_seconds) / thousands, 3) for n in after},
            peak_mib={name: round(used.peak_mib) for name, used in after.items()},
            redis_peak_mib=round(running.redis_peak_mib(), 1),
            database_mib=round(running.database_mib(), 1),
        )


def idle(folder: Path, runs: Sequence[int], minutes: float) -> list[Idle]:
    """A controller without workers beside more and more copies of one finished run."""
    prompts = (STAGES_OF_FINISHED - 4) // 3
    found: list[Idle] = []
    wanted = config(folder, prompts, 1)
    with stack(folder) as running:
        run_id, _ = play(running, wanted)
    for count in runs:
        with stack(folder, workers=False) as running:
            _copy_run(running.database, run_id, count)
            time.sleep(15)  # each run is looked at once more before it is left alone
            used: list[Used] = [running.used()["controller"]]
            time.sleep(60 * minutes)
            used.append(running.used()["controller"])
            stages = _asked(running, "SELECT count(*) FROM stages")
        cpu = (used[1].cpu_seconds - used[0].cpu_seconds) / minutes
        found.append(Idle(count, stages, round(cpu, 3)))
        print(f"idle beside {count}: {cpu:.3f} CPU s a minute", file=sys.stderr, flush=True)
    return found


def _copy_run(database: Path, run_id: str, count: int) -> None:
    """Have `count` runs like this one in the database, and no other; the first is put aside for the next count."""
    connection = sqlite3.connect(database, timeout=60)
    with connection:
        for table, own in (("runs", ("run_id",)), ("stages", ("key", "run_id"))):
            kept = f"CREATE TABLE IF NOT EXISTS aside_{table} AS SELECT * FROM {table} WHERE run_id = '{run_id}'"
            connection.execute(kept)
            connection.execute(f"DELETE FROM {table}")
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for number in range(count):
                values = [f"'{number}-' || {name}" if name in own else name for name in columns]
                connection.execute(f"INSERT INTO {table} SELECT {', '.join(values)} FROM aside_{table}")
    connection.close()


def main() -> int:
    """Exit code 0 when every size keeps to the goals and finished runs cost nothing, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, nargs="*", default=[2000, 20_000, 200_000])
    parser.add_argument("--finished", type=int, nargs="*", default=[0, 20], help="how many runs to stand idle beside")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each of these")
    parser.add_argument("--rounds", type=int, default=1, help="of each size; the median by seconds is told")
    parser.add_argument("--keep", type=Path, help="a folder to leave the last run and the logs in")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    costs = []
    for prompts in options.prompts:
        several = [_in_folder(lambda folder, count=prompts: cost(folder, count), options.keep) for _ in range(options.rounds)]
        costs.append(sorted(several, key=lambda each: each.seconds)[(len(several) - 1) // 2])
        print(f"{prompts} prompts: {costs[-1].seconds_per_thousand} s a thousand", file=sys.stderr, flush=True)
    idles = _in_folder(lambda folder: idle(folder, options.finished, options.minutes), None) if options.finished else []
    report(costs, idles)
    if options.json:
        whole = {"costs": [asdict(each) for each in costs], "idle": [asdict(each) for each in idles]}
        options.json.write_text(json.dumps(whole, indent=1), encoding="utf-8")
    return 0 if _keeps(costs, idles) else 1


def _in_folder(measured: Any, keep: Path | None) -> Any:
    folder = Path(tempfile.mkdtemp(prefix="sparring-cost-"))
    try:
        return measured(folder)
    finally:
        if keep is not None:
            shutil.rmtree(keep, ignore_errors=True)
            shutil.copytree(folder, keep)
        shutil.rmtree(folder)


def _keeps(costs: Sequence[Costs], idles: Sequence[Idle]) -> bool:
    paces = [each.seconds_per_thousand for each in costs]
    level = not paces or (max(paces) <= MOST_SECONDS and max(paces) <= (1 + SPREAD) * statistics.median(paces))
    return level and (not idles or idles[-1].cpu_per_minute <= idles[0].cpu_per_minute + 0.1)


def report(costs: Sequence[Costs], idles: Sequence[Idle]) -> None:
    """Print all tables."""
    print("| prompts | stages | s | s per thousand | CPU s per thousand, of which the engines | Redis MiB | database MiB |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for each in costs:
        cpu = f"{sum(each.cpu_per_thousand.values()):.2f}, {each.cpu_per_thousand[ENGINES]:.2f}"
        took = f"{each.seconds:.1f} | {each.seconds_per_thousand:.2f} | {cpu}"
        print(f"| {each.prompts:,} | {each.stages:,} | {took} | {each.redis_peak_mib} | {each.database_mib} |")
    if costs:
        names = list(costs[0].peak_mib)
        print("\n| CPU s per thousand, peak MiB | " + " | ".join(names) + " |\n|---|" + "---:|" * len(names))
        for each in costs:
            cells = [f"{each.cpu_per_thousand[name]:.2f}, {each.peak_mib[name]:.0f}" for name in names]
            print(f"| {each.prompts:,} prompts | " + " | ".join(cells) + " |")
    if idles:
        print("\n| finished runs | their stages | CPU s a minute of the idle controller |\n|---:|---:|---:|")
        for each in idles:
            print(f"| {each.runs} | {each.stages:,} | {each.cpu_per_minute:.2f} |")


if __name__ == "__main__":
    sys.exit(main())
