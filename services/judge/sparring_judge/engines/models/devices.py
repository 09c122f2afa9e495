"""On which device and in which number format a model is computed."""

import torch

from sparring_judge.settings import Precision
from sparring_shared.errors import InvalidInput

_FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def torch_device(wanted: str) -> torch.device:
    """The device of that name; `auto` takes a GPU if there is one. Raises InvalidInput for one that is not there."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    present = torch.cuda.device_count() if wanted.startswith("cuda") else int(torch.backends.mps.is_available())
    device = torch.device(wanted)
    if device.type != "cpu" and (device.index or 0) >= present:
        raise InvalidInput(f"The device {wanted} is wanted, but torch finds {present} of its kind; set auto or cpu.")
    return device


def number_format(precision: Precision | None, device: torch.device) -> torch.dtype:
    """The format of that name; unless one is named, fp32 on a CPU and bf16 elsewhere. Raises InvalidInput for int8."""
    if precision is None:
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    if precision not in _FORMATS:
        raise InvalidInput(f"SPARRING_JUDGE_PRECISION {precision} is for the engine pairrm alone; set fp32, bf16 or fp16.")
    return _FORMATS[precision]
