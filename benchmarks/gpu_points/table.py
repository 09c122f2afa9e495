"""The rows as Markdown, for the README: what each point came to, and which predictions held."""

from collections.abc import Iterator, Mapping
from typing import Any

SHOWN = {
    "versions": ("card/name", "card/memory_gib", "driver", "packages/torch", "cuda", "cudnn", "tests/passed"),
    "trainer": (
        "against_fp32/logprob_per_token_differs_by",
        "against_fp32/gradient_cosine",
        "resumed_over_moved",
        "probe_differs_by",
        "no_card/refused",
    ),
    "attention": ("trainer/cuDNN/extra_ms", "trainer/without cuDNN/extra_ms", "trainer/as torch chooses/extra_ms"),
    "judge": (
        "fp16/512/tokens_per_second",
        "fp16/512/share_of_matrix_rate",
        "fp16/2048/peak_gib",
        "fp16/2048/largest_error",
        "bf16/2048/largest_error",
    ),
    "memory": (
        "7B rmsprop/stages/step 1/peak_gib",
        "7B rmsprop/seconds_a_step",
        "7B rmsprop/share_of_matrix_rate",
        "7B rmsprop of 80 GiB/out_of_memory",
        "8B rmsprop/stages/step 1/peak_gib",
        "8B adamw/out_of_memory",
        "FSDP2, one rank/probe_differs_by",
    ),
    "logprobs": ("bf16, head in bf16/rms", "bf16, head in fp32/rms", "bf16, head in bf16/maximum"),
    "rounding": ("nearest/share_changed", "nearest/share_of_margin", "stochastic/share_of_margin"),
    "together": ("job_most_gib", "left_when_done_gib", "free_when_done"),
}
"""Of each point's findings those that a reader wants first; all others are in the JSON."""
HELD = {True: "held", False: "**missed**", None: "not judged"}


def table(report: Mapping[str, Any]) -> str:
    """Two tables: a row per point, and a row per prediction."""
    points = [
        f"| {row['point']} | {row['status']} | {row['seconds']:.0f} | {row['note'] or '; '.join(_shown(row))} |"
        for row in report["rows"]
    ]
    predictions = [
        f"| {row['point']} | {one['says']} | {_number(one['found'])} | {HELD[one['held']]} | {one['source']} |"
        for row in report["rows"]
        for one in row["predictions"]
    ]
    return "\n".join(
        [
            "| point | status | s | found |",
            "|---|---|---:|---|",
            *points,
            "",
            "| point | predicted | found | | source |",
            "|---|---|---:|---|---|",
            *predictions,
        ]
    )


def _shown(row: Mapping[str, Any]) -> Iterator[str]:
    for path in SHOWN[row["point"]]:
        value: Any = row["findings"]
        for key in path.split("/"):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            yield f"{path.replace('/', ' ').replace('_', ' ')} {_number(value)}"


def _number(value: Any) -> str:
    """Three figures of a number, others as they are."""
    match value:
        case None:
            return ""
        case float():
            return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
        case int() if not isinstance(value, bool):
            return f"{value:,}"
        case _:
            return str(value)
