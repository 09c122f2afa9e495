"""On which device and in which number format a model is computed."""

import torch

from sparring_judge.engines import worker
from sparring_judge.precision import Precision
from sparring_shared.errors import InvalidInput

_FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def set_up_torch(device: str, threads: int) -> torch.device:
    """Set torch up for this process; returns the device that is meant, see `torch_device`."""
    torch.set_num_threads(threads)
    # Where torch prefers cuDNN's attention (Hopper), that plans anew for each of our many lengths.
    torch.backends.cuda.enable_cudnn_sdp(False)
    return torch_device(device)


def device_name(wanted: str, number: int, cards: int) -> str:
    """The device of the worker process `number` where `auto` or `cuda` leave it open: the workers take the cards in turns.

    Example: `device_name("auto", 5, 4) == "cuda:1"`.
    """
    if wanted in ("auto", "cuda") and cards > 0:
        return f"cuda:{number % cards}"
    return "cpu" if wanted == "auto" else wanted


def torch_device(wanted: str) -> torch.device:
    """The device of that name for this process; `auto` takes a GPU if there is one. Raises InvalidInput for one that is not
    there."""
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device = torch.device(device_name(wanted, worker.number, cards))
    present = cards if device.type == "cuda" else int(torch.backends.mps.is_available())
    if device.type != "cpu" and (device.index or 0) >= present:
        raise InvalidInput(f"The device {wanted} is wanted, but torch finds {present} of its kind; set auto or cpu.")
    return device


def number_format(precision: Precision | None, device: torch.device) -> torch.dtype:
    """The format of that name; unless one is named, fp32 on a CPU and bf16 elsewhere: language models are trained in it, and
    some overflow in fp16. Raises InvalidInput for int8."""
    if precision is None:
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    if precision not in _FORMATS:
        raise InvalidInput(f"SPARRING_JUDGE_PRECISION {precision} is for the engine pairrm alone; set fp32, bf16 or fp16.")
    return _FORMATS[precision]
