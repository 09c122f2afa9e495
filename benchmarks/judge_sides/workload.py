"""Real prompts, each with K real answers: AlpacaEval's, or those of a file."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ALPACA_EVAL = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "alpaca_eval" / "models"
ANSWERERS = ("SPPO-Mistral7B-PairRM", "Mistral-7B-Instruct-v0.2", "gpt-3.5-turbo-1106", "vicuna-7b-v1.5", "alpaca-7b")
"""Whose answers are compared: from long (a mean of 2,100 characters) to short (400)."""


class NoWorkload(Exception):
    """One sentence that says what is missing and what to give instead."""


@dataclass(frozen=True)
class Item:
    """One prompt and its answers, e.g. `Item("2 + 2?", ("4", "5"))`."""

    prompt: str
    candidates: tuple[str, ...]


def load_items(data: Path | None, prompts: int, k: int) -> tuple[list[Item], list[str]]:
    """`prompts` items spread evenly over the data, cut to K candidates; and texts to make a tokenizer from.

    `data` is a JSONL file with `prompt` and `candidates`. Raises NoWorkload when it is absent or holds too little.
    """
    items = [item for item in (_from_file(data) if data else _alpaca_eval()) if len(set(item.candidates[:k])) == k]
    if len(items) < prompts:
        raise NoWorkload(f"The data holds {len(items)} prompts with {k} different answers; ask for that many or fewer.")
    texts = [text for item in items for text in (item.prompt, *item.candidates)]
    chosen = [items[at * len(items) // prompts] for at in range(prompts)]
    return [Item(item.prompt, item.candidates[:k]) for item in chosen], texts


def write_items(items: Sequence[Item], path: Path) -> None:
    """Write the items as JSONL, for both sides to read."""
    path.write_text("".join(json.dumps(asdict(item)) + "\n" for item in items), encoding="utf-8")


def _from_file(path: Path) -> list[Item]:
    if not path.is_file():
        raise NoWorkload(f"{path} is absent; give --data a JSONL file with `prompt` and `candidates`.")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Item(row["prompt"], tuple(row["candidates"])) for row in rows]


def _alpaca_eval() -> list[Item]:
    files = [ALPACA_EVAL / name / "model_outputs.jsonl.gz" for name in ANSWERERS]
    if not all(file.is_file() for file in files):
        raise NoWorkload(f"{ALPACA_EVAL} is absent; give --data a JSONL file with `prompt` and `candidates`.")
    columns = [[json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()] for file in files]
    return [Item(rows[0]["instruction"], tuple(row["output"] for row in rows)) for rows in zip(*columns, strict=True)]
