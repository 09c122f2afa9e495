"""One process per side, and the rounds in which they take turns."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SINGLE = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1") | {"TOKENIZERS_PARALLELISM": "false"}
KEEP_MEMORY = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=8589934592:glibc.malloc.trim_threshold=17179869184"}
"""For llm-blender what our network asks of the C library itself: to keep freed memory (see its `freed_memory`)."""


class SideEnded(Exception):
    """One sentence that says which side ended and what it printed last."""


@dataclass(frozen=True)
class Side:
    """One row of the table: a module of `judge_sides`, its Python, its environment and what each round asks of it."""

    name: str
    python: Path
    module: str
    environment: dict[str, str] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)


@dataclass
class Running:
    """A side that is loaded; `about` is what it said then."""

    side: Side
    process: subprocess.Popen[str]
    log: Path
    about: dict[str, Any]

    def play(self) -> dict[str, Any]:
        """One round. Raises SideEnded."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(self.side.asked) + "\n")
        self.process.stdin.flush()
        return _reply(self.process, self.side.name, self.log)


@contextmanager
def running(side: Side, folder: Path, device: str, precision: str) -> Iterator[Running]:
    """The side, loaded from the checkpoint and the items in `folder`; ended with the block. Raises SideEnded."""
    command = [str(side.python), "-m", side.module, str(folder), device, precision]
    log = folder / f"{side.name}.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command,
            cwd=Path(__file__).resolve().parents[1],
            env=os.environ | SINGLE | side.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        yield Running(side, process, log, _reply(process, side.name, log))
    finally:
        process.terminate()
        process.wait(60)


def play(sides: Sequence[Side], folder: Path, device: str, precision: str, rounds: int) -> tuple[Any, dict[str, list[Any]]]:
    """What the first side says of itself, and the replies of each side by its name. Raises SideEnded."""
    with ExitStack() as stack:
        loaded = [stack.enter_context(running(side, folder, device, precision)) for side in sides]
        replies: dict[str, list[Any]] = {side.name: [] for side in sides}
        for number in range(1, rounds + 1):
            for one in loaded:
                reply = one.play()
                replies[one.side.name].append(reply)
                print(f"round {number}, {one.side.name}: {reply['cpu_s']:.1f} CPU s, {reply['wall_s']:.1f} s", file=sys.stderr)
        return loaded[0].about, replies


def _reply(process: subprocess.Popen[str], name: str, log: Path) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
        raise SideEnded(f"The process of {name} ended; it printed last: {''.join(last) or 'nothing'}.")
    return json.loads(line)
