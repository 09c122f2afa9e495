"""Our judge against llm-blender 0.0.2: real prompts with K real answers, all ordered pairs, random weights of the real shapes.

    python scripts/setup.py --llm-blender                                    # once: its own environment
    .venv/bin/python benchmarks/judge.py --size 6x768
    .venv/bin/python benchmarks/judge.py --size 24x1024 --prompts 2
    .venv/bin/python benchmarks/judge.py --size 24x1024 --device cuda --precision fp16

Each side is a process of its own with one torch thread; the sides take turns, round by round, and the figures are medians over
the rounds: process CPU seconds on a CPU, wall seconds on a GPU. Exit code 1 when a figure that the project holds itself to is
missed.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from judge_sides.checkpoint import SHAPES, write_checkpoint
from judge_sides.processes import KEEP_MEMORY, Side, SideEnded, play
from judge_sides.workload import NoWorkload, load_items, write_items

ROOT = Path(__file__).resolve().parent.parent
OURS, BATCH_1, BATCH_8, PLAIN = "sparring", "llm-blender, batch 1", "llm-blender, batch 8", "llm-blender, batch 1, plain malloc"
WANTED = {("cpu", "6x768"): 1.4, ("cpu", "24x1024"): 1.25, ("cuda", "24x1024"): 8.0}
"""How many times the pairs per second of batch size 1."""
WANTED_OF_BATCH_8 = 2.0
LARGEST_DIFFERENCE = 1e-4
"""Of a score, in fp32."""


@dataclass(frozen=True)
class Row:
    """What was seen of one side: `seconds` is the median over the rounds, `ours_is` our pairs per second over this side's."""

    side: str
    seconds: float
    pairs_per_second: float
    ours_is: float
    share_of_matrix_rate: float
    score_difference: float
    page_faults: int


@dataclass(frozen=True)
class Report:
    """One run of the benchmark; `tokens` are the mean of a pass, `matrix_gflops` what a large product reaches."""

    size: str
    device: str
    precision: str
    prompts: int
    pairs: int
    tokens: float
    rounds: int
    matrix_gflops: float
    rows: tuple[Row, ...]
    missed: tuple[str, ...]


def sides(python: Path, device: str) -> list[Side]:
    """Ours, and llm-blender as SPPO runs it (batch size 1) and as it comes (8); the last row as it is where nothing is set."""
    module = "judge_sides.llm_blender_side"
    found = [
        Side(OURS, Path(sys.executable), "judge_sides.our_side"),
        Side(BATCH_1, python, module, KEEP_MEMORY, {"batch_size": 1}),
        Side(BATCH_8, python, module, KEEP_MEMORY, {"batch_size": 8}),
    ]
    return found if device != "cpu" else [*found, Side(PLAIN, python, module, {}, {"batch_size": 1})]


def rows(about: Mapping[str, Any], replies: Mapping[str, Sequence[Mapping[str, Any]]], pairs: int, clock: str) -> list[Row]:
    """One row per side. The work of all is counted as ours, so that the shares can be compared."""
    seconds = {name: statistics.median(reply[clock] for reply in found) for name, found in replies.items()}
    reference = np.array(replies[BATCH_1][0]["scores"])
    return [
        Row(
            side=name,
            seconds=round(median, 3),
            pairs_per_second=round(pairs / median, 3),
            ours_is=round(median / seconds[OURS], 2),
            share_of_matrix_rate=round(about["flops"] / median / about["matrix_flops"], 3),
            score_difference=max(float(np.abs(np.array(reply["scores"]) - reference).max()) for reply in replies[name]),
            page_faults=int(statistics.median(reply["page_faults"] for reply in replies[name])),
        )
        for name, median in seconds.items()
    ]


def missed(found: Sequence[Row], size: str, device: str, precision: str) -> tuple[str, ...]:
    """What is not as fast or as exact as wanted, one sentence each."""
    by_name = {row.side: row for row in found}
    wanted = {BATCH_1: WANTED.get((device.partition(":")[0], size), 0.0), BATCH_8: WANTED_OF_BATCH_8}
    slow = [
        f"{by_name[name].ours_is} times {name}; wanted are {times}."
        for name, times in wanted.items()
        if by_name[name].ours_is < times
    ]
    difference = by_name[OURS].score_difference
    wrong = precision == "fp32" and difference > LARGEST_DIFFERENCE
    return (*slow, *([f"A score differs by {difference:.1e}; wanted are {LARGEST_DIFFERENCE}."] if wrong else []))


def table(report: Report) -> str:
    """The report in markdown."""
    clock = "CPU s" if report.device == "cpu" else "s"
    lines = [
        f"{report.size}, {report.precision} on {report.device}: {report.prompts} prompts, {report.pairs} ordered pairs of "
        f"{report.tokens:.0f} tokens on average; medians of {report.rounds} rounds; a large matrix product runs at "
        f"{report.matrix_gflops:,.0f} GFLOP/s.",
        "",
        f"| | {clock} | pairs per {clock} | sparring is | of the matrix rate | largest score difference |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row.side} | {row.seconds:.1f} | {row.pairs_per_second:.2f} | {row.ours_is:.2f} x | "
        f"{row.share_of_matrix_rate:.0%} | {row.score_difference:.0e} |"
        for row in report.rows
    ]
    return "\n".join([*lines, "", *report.missed])


def measure(options: argparse.Namespace) -> Report:
    """Play the rounds. Raises NoWorkload or SideEnded."""
    items, texts = load_items(options.data, options.prompts, options.k)
    precision = options.precision or ("fp32" if options.device == "cpu" else "fp16")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_checkpoint(folder, options.size, texts)
        write_items(items, folder / "items.jsonl")
        about, replies = play(sides(options.llm_blender, options.device), folder, options.device, precision, options.rounds)
    pairs = options.prompts * options.k * (options.k - 1)
    found = rows(about, replies, pairs, "cpu_s" if options.device == "cpu" else "wall_s")
    return Report(
        size=options.size,
        device=options.device,
        precision=precision,
        prompts=options.prompts,
        pairs=pairs,
        tokens=about["tokens"] / pairs,
        rounds=options.rounds,
        matrix_gflops=about["matrix_flops"] / 1e9,
        rows=tuple(found),
        missed=missed(found, options.size, options.device, precision),
    )


def main() -> int:
    """Exit code 0 when all figures are met, 1 when one is missed, 2 with one sentence when it cannot run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SHAPES, default="6x768")
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--k", type=int, default=5, help="answers per prompt")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), help="default: fp32 on the CPU, fp16 elsewhere")
    parser.add_argument("--data", type=Path, help="JSONL with `prompt` and `candidates`; default: AlpacaEval's in ../shared")
    parser.add_argument("--llm-blender", type=Path, default=ROOT / ".venv-llm-blender/bin/python", help="its Python")
    parser.add_argument("--json", type=Path, help="where to write the report")
    options = parser.parse_args()
    try:
        if not options.llm_blender.is_file():
            raise NoWorkload(f"{options.llm_blender} is absent; run `python scripts/setup.py --llm-blender`.")
        report = measure(options)
    except (NoWorkload, SideEnded) as error:
        print(f"judge: {error}", file=sys.stderr)
        return 2
    print(table(report))
    if options.json:
        options.json.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
