"""What HTTP costs: the judge's engine alone against the service with 64 clients; a small compare under load; memory.

    .venv/bin/python benchmarks/judge_http.py

The engine and the service are processes of their own with one torch thread and no cache; they take turns, round by round, on
the same comparisons: real prompts and real answers, cut short, for a 6-layer judge of width 768 with random weights. In one
more round, a client beside the others asks for one tiny comparison after another. Memory is that of the judge in
`models/demo-judge` while it answers small requests that are all different, with a cache smaller than their number.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import psutil
from judge_sides.checkpoint import write_checkpoint
from judge_sides.workload import NoWorkload, load_items

ROOT = Path(__file__).resolve().parent.parent
SINGLE = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1") | {"TOKENIZERS_PARALLELISM": "false"}
CLIENTS = 64
CHARACTERS = 300
"""Kept of each answer, so that a round takes a minute and not ten."""

Comparison = dict[str, str]


@dataclass(frozen=True)
class Figures:
    """Medians over the rounds: ordered pairs per second of both, their ratio, and milliseconds of a tiny compare under load."""

    engine_pairs_per_second: float
    http_pairs_per_second: float
    ratio: float
    small_compare_ms_p50: float
    small_compare_ms_p99: float
    small_compares: int


@contextmanager
def judge(model: Path, **settings: str) -> Iterator[tuple[str, psutil.Process]]:
    """A judge that is ready: its address and its process, which ends with the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    named = {"model": str(model), "port": str(port), "device": "cpu", "threads": "1", **settings}
    environment = os.environ | SINGLE | {f"SPARRING_JUDGE_{name.upper()}": value for name, value in named.items()}
    process = subprocess.Popen([sys.executable, "-m", "sparring_judge"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        while not _ready(f"http://127.0.0.1:{port}"):
            if process.poll() is not None:
                sys.exit("The judge ended instead of starting.")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def _ready(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/readyz").is_success
    return False


async def load(url: str, comparisons: Sequence[Comparison], *, tiny_ones: bool = False) -> tuple[float, list[float]]:
    """Seconds until all comparisons are answered, one a request, all clients at once; and of each tiny one meanwhile."""
    waiting = list(comparisons)
    small: list[float] = []
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=httpx.Limits(max_connections=CLIENTS + 1)) as http:

        async def client() -> None:
            while waiting:
                (await http.post("/v1/compare", json={"items": [waiting.pop()]})).raise_for_status()

        async def tiny() -> None:
            while True:
                began = time.perf_counter()
                body = {"items": [{"prompt": f"Which is larger, {len(small)}?", "a": "This.", "b": "That one."}]}
                (await http.post("/v1/compare", json=body)).raise_for_status()
                small.append(time.perf_counter() - began)

        began = time.perf_counter()
        asking = [asyncio.create_task(tiny())] if tiny_ones else []
        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        seconds = time.perf_counter() - began
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    return seconds, small


def compare_speeds(folder: Path, comparisons: Sequence[Comparison], rounds: int) -> Figures:
    """Engine and service in turn."""
    write = folder / "comparisons.json"
    write.write_text(json.dumps(comparisons), encoding="utf-8")
    model = folder / "pairrm"
    engine_seconds, http_seconds = [], []
    command = [sys.executable, "-m", "judge_sides.engine_side", str(model), str(write)]
    for _ in range(rounds):
        alone = subprocess.run(command, cwd=ROOT / "benchmarks", env=os.environ | SINGLE, check=True, stdout=subprocess.PIPE)
        engine_seconds.append(float(alone.stdout))
        with judge(model, cache_entries="0") as (url, _):
            seconds, _ = asyncio.run(load(url, comparisons))
        http_seconds.append(seconds)
        print(f"engine {engine_seconds[-1]:.1f} s, HTTP {seconds:.1f} s", file=sys.stderr, flush=True)
    with judge(model, cache_entries="0") as (url, _):
        _, small = asyncio.run(load(url, comparisons, tiny_ones=True))
    engine, http = (2 * len(comparisons) / statistics.median(each) for each in (engine_seconds, http_seconds))
    percentiles = statistics.quantiles(small, n=100)
    return Figures(engine, http, http / engine, 1000 * percentiles[49], 1000 * percentiles[98], len(small))


async def ask_many(url: str, count: int, first: int) -> None:
    """`count` small requests, each different, 16 at a time."""
    numbers = iter(range(first, first + count))
    async with httpx.AsyncClient(base_url=url, timeout=600) as http:

        async def client() -> None:
            for number in numbers:
                item = {
                    "prompt": f"Which of these is a fruit: plum, saw {number}?",
                    "a": "plum is a fruit.",
                    "b": f"saw {number}.",
                }
                (await http.post("/v1/compare", json={"items": [item]})).raise_for_status()

        await asyncio.gather(*(client() for _ in range(16)))


def memory(requests: int) -> dict[int, float]:
    """MiB of the judge's memory after so many requests."""
    seen: dict[int, float] = {}
    with judge(ROOT / "models" / "demo-judge", cache_entries="1000") as (url, process):
        for done in range(0, requests, requests // 10):
            asyncio.run(ask_many(url, requests // 10, done))
            seen[done + requests // 10] = round(process.memory_info().rss / 2**20, 1)
    return seen


def main() -> int:
    """Exit code 0 when HTTP keeps 0.9 of the engine's throughput and memory is flat, 1 when not, 2 when it cannot run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=10_000, help="for the memory")
    parser.add_argument("--data", type=Path, help="JSONL with `prompt` and `candidates` instead of ../shared/data")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    try:
        items, texts = load_items(options.data, options.comparisons, 2)
    except NoWorkload as error:
        print(f"judge_http: {error}", file=sys.stderr)
        return 2
    comparisons = [
        {"prompt": item.prompt[:CHARACTERS], "a": item.candidates[0][:CHARACTERS], "b": item.candidates[1][:CHARACTERS]}
        for item in items
    ]
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Path(folder), "6x768", texts)
        figures = compare_speeds(Path(folder), comparisons, options.rounds)
    grown = memory(options.requests)
    report(figures, grown)
    if options.json:
        options.json.write_text(json.dumps({"speed": asdict(figures), "memory_mib": grown}, indent=1), encoding="utf-8")
    middle, last = list(grown.values())[4], list(grown.values())[-1]
    return 0 if figures.ratio >= 0.9 and last <= 1.02 * middle else 1


def report(figures: Figures, grown: dict[int, float]) -> None:
    """Print both tables."""
    print(f"| {CLIENTS} clients over HTTP | the engine alone | ratio | tiny compare under load, p50 | p99 |")
    print("|---|---|---|---|---|")
    print(
        f"| {figures.http_pairs_per_second:.2f} pairs/s | {figures.engine_pairs_per_second:.2f} pairs/s | {figures.ratio:.2f} "
        f"| {figures.small_compare_ms_p50:.0f} ms | {figures.small_compare_ms_p99:.0f} ms |\n"
    )
    print("| requests | " + " | ".join(map(str, grown)) + " |\n|---|" + "---|" * len(grown))
    print("| MiB | " + " | ".join(map(str, grown.values())) + " |")


if __name__ == "__main__":
    sys.exit(main())
