"""Whether a job trains on a GPU: one that was to use a card must not spend weeks on the CPU instead."""

import torch

from sparring_shared.errors import Unavailable
from sparring_trainer.device_name import DeviceName


def trains_on_cpu(wanted: DeviceName, cuda: str | None, found: bool, said: str = "") -> bool:
    """Whether to train on the CPU; `cuda` is the version that torch is built for, `found` whether it has a card to use.

    `said` is torch's reason for finding none. Raises Unavailable where torch is built for cards, finds none, and the CPU is
    not `wanted`.
    """
    if wanted == "cpu" or found:
        return wanted == "cpu"
    if cuda is not None:
        raise Unavailable(
            f"This PyTorch is built for CUDA {cuda} but finds no GPU that it can use ({said}); update the driver, give the "
            "trainer a GPU, or set SPARRING_TRAINER_DEVICE=cpu to train without one."
        )
    return True


def use_cpu(wanted: DeviceName) -> bool:
    """`trains_on_cpu` of this machine."""
    found = torch.accelerator.is_available()
    return trains_on_cpu(wanted, torch.version.cuda, found, "" if found else why_no_gpu())


def why_no_gpu() -> str:
    """The first sentence of what torch says when it is asked for a card that it does not find; names the driver's version."""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:  # the latter from a build without CUDA
        return str(error).splitlines()[0].split(". ")[0].rstrip(".")
    return "torch.cuda.is_available() is false"
