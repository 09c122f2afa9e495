"""The engine alone: `python -m judge_sides.engine_side MODEL COMPARISONS` prints the seconds that all of them take at once."""

import json
import sys
import time
from pathlib import Path

from sparring_judge.engines.by_name import load_engine
from sparring_judge.engines.engine import judge_tasks
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.task import Task, games
from sparring_judge.tasks.units import Judgement


def main(model: str, comparisons: Path) -> None:
    """Load, warm up, judge."""
    engine = load_engine(JudgeSettings(model=model, device="cpu"))
    computer = engine.load()
    tasks = [Task(row["prompt"], (row["a"], row["b"]), games(2)) for row in json.loads(comparisons.read_text("utf-8"))]
    judge_tasks(engine.reader, computer, tasks[:2])
    began = time.perf_counter()
    judged = judge_tasks(engine.reader, computer, tasks)
    seconds = time.perf_counter() - began
    assert all(isinstance(one, Judgement) for one in judged)
    print(seconds)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
