"""`python -m sparring_controller.demo.small_world` writes prompts for a run, one JSON object per line."""

import argparse
import json
from pathlib import Path

from .splits import Split, prompts


def main() -> None:
    """Write `--count` prompts of the self-play split to `--out` as {"prompt_id", "prompt"} lines."""
    parser = argparse.ArgumentParser(prog="python -m sparring_controller.demo.small_world", description=__doc__)
    parser.add_argument("--count", type=int, required=True, help="how many prompts")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives another order")
    parser.add_argument("--out", type=Path, required=True, help="the .jsonl file to write")
    options = parser.parse_args()
    lines = (
        json.dumps({"prompt_id": f"small-world-{options.seed}-{index:05d}", "prompt": prompt})
        for index, prompt in enumerate(prompts(Split.SELFPLAY, options.count, options.seed))
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
