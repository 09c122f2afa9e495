"""The first half hour on a GPU: eight points, each in a process of its own, one row each in a JSON that is written after each.

    python benchmarks/gpu.py                                  # all points, 30 minutes at most
    python benchmarks/gpu.py --only judge --only memory       # these alone; the other rows of the file stay
    python benchmarks/gpu.py --device cpu --tiny              # the same lines at sizes that a CPU computes in seconds
    python benchmarks/gpu.py --table benchmarks/results/gpu-cuda.json

Needs torch, transformers, accelerate, safetensors, numpy, pyarrow and pydantic, and no installation: it runs from a checkout.
Exit code 0 when every point that ran gave its row without an error.
"""

import argparse
import json
import sys
from pathlib import Path

from gpu_points.points import POINTS
from gpu_points.processes import prepare
from gpu_points.runner import Run, run
from gpu_points.table import table

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="for all points together")
    parser.add_argument("--only", action="append", choices=[point.name for point in POINTS], help="may be given several times")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="shapes that finish in seconds")
    parser.add_argument("--json", type=Path, help="where the rows go; default: benchmarks/results/gpu-DEVICE[-tiny].json")
    parser.add_argument("--table", type=Path, metavar="FILE.json", help="print this file as a Markdown table, and do no more")
    options = parser.parse_args()
    if options.table:
        print(table(json.loads(options.table.read_text(encoding="utf-8"))))
        return 0
    prepare(options.device)
    report = options.json or RESULTS / f"gpu-{options.device}{'-tiny' if options.tiny else ''}.json"
    wanted = Run(options.device, options.tiny, options.minutes, report)
    rows = run([point for point in POINTS if not options.only or point.name in options.only], wanted, keep=bool(options.only))
    print(table(json.loads(report.read_text(encoding="utf-8"))))
    return 1 if any(row.status == "failed" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
