"""Point 3: how long torch's fused attention takes when it first sees a shape, and when it sees it again.

cuDNN plans anew for each shape. The trainer's batches have thousands of shapes, so that plans can cost more than the work.
"""

import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from .device import seconds_of
from .records import Findings, Notebook, Setting

SHAPES = 30


@dataclass(frozen=True)
class Form:
    """How one of our programs asks for attention: rows, heads, size of a head, and by how many tokens all lengths differ.

    The trainer asks for causal attention and goes backward; the judge gives a bias and does not.
    """

    rows: int
    heads: int
    size: int
    step: int
    bias: bool


FORMS = {"trainer": Form(8, 32, 128, 13, bias=False), "judge": Form(16, 16, 64, 16, bias=True)}
"""The judge rounds its lengths, the trainer does not."""
TINY_FORMS = {"trainer": Form(1, 2, 8, 1, bias=False), "judge": Form(1, 2, 8, 1, bias=True)}


@contextmanager
def without_cudnn() -> Any:
    """Torch's choice among the others."""
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def ways(device: str) -> dict[str, Callable[[], AbstractContextManager[Any]]]:
    """The ways to choose a kernel."""
    found: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "without cuDNN": without_cudnn,
        "as torch chooses": nullcontext,
    }
    return found | ({"cuDNN": lambda: sdpa_kernel(SDPBackend.CUDNN_ATTENTION)} if device == "cuda" else {})


def attention(setting: Setting, notebook: Notebook) -> None:
    """Both forms, each way, at `SHAPES` lengths from 256 tokens on."""
    for name, form in (TINY_FORMS if setting.tiny else FORMS).items():
        found: Findings = {}
        chosen = ways(setting.device)
        for number, (way, context) in enumerate(chosen.items()):
            with context():
                found[way] = measured(setting.device, form, lengths_of(form, number, len(chosen)))
            notebook.add(**{name: found})


def lengths_of(form: Form, number: int, count: int) -> list[int]:
    """The lengths of one of `count` ways, its own: cuDNN keeps its plans, also those that it made when torch chose it."""
    return [256 + form.step * (count * at + number) for at in range(SHAPES)]


def measured(device: str, form: Form, lengths: list[int]) -> Findings:
    """Medians in milliseconds over all lengths; or why this way has no kernel for the form."""
    try:
        once(device, form, 2 * lengths[-1] - lengths[-2])  # the libraries load, and torch gets memory enough for all lengths
        firsts, seconds = zip(*(twice(device, form, length) for length in lengths), strict=True)
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError | torch.AcceleratorError):
            raise  # the card failed, not the choice
        return {"no_kernel": str(error).strip().splitlines()[0]}
    extra = [1000 * (first - second) for first, second in zip(firsts, seconds, strict=True)]
    return {
        "shapes": len(lengths),
        "first_ms": round(1000 * statistics.median(firsts), 3),
        "second_ms": round(1000 * statistics.median(seconds), 3),
        "extra_ms": round(statistics.median(extra), 3),
        "most_extra_ms": round(max(extra), 3),
    }


def twice(device: str, form: Form, length: int) -> tuple[float, float]:
    """Seconds of the first and the second call at a length."""
    return once(device, form, length), once(device, form, length)


def once(device: str, form: Form, length: int) -> float:
    """Seconds of one call on new random tensors."""
    query, key, value, bias = tensors(device, form, length)

    def call() -> None:
        out = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, is_causal=bias is None)
        if query.requires_grad:
            out.backward(value.detach())

    return seconds_of(device, call)


def tensors(device: str, form: Form, length: int) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Query, key and value [rows, heads, length, size], laid out as the models do, and a bias for each of the scores."""
    shape = (form.rows, length, form.heads, form.size)
    drawn = [torch.randn(shape, device=device, dtype=torch.bfloat16).transpose(1, 2) for _ in range(3)]
    if not form.bias:
        return (*(one.requires_grad_() for one in drawn), None)  # pyright: ignore[reportReturnType]  # three tensors
    bias = torch.randn(form.rows, form.heads, length, length, device=device, dtype=torch.bfloat16)
    return drawn[0], drawn[1], drawn[2], bias
