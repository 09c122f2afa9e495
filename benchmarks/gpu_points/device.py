"""Time, memory and matrix rate of a device. Every clock is read after the device has done what it was given."""

import time
from collections.abc import Callable
from pathlib import Path

import torch

GIB = 1 << 30


def synchronize(device: str) -> None:
    """Wait for the device."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds_of(device: str, work: Callable[[], object]) -> float:
    """How long the device takes for `work`, nothing before it counted."""
    synchronize(device)
    began = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - began


def reset_peak(device: str) -> None:
    """From now on `peak_gib` and `reserved_gib` count anew. Torch's cache is left as it is, as in a real run."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets VmHWM


def peak_gib(device: str) -> float:
    """The most memory in use since `reset_peak`, in GiB: torch's tensors on a card, the whole process on a CPU."""
    if device == "cuda":
        return round(torch.cuda.max_memory_allocated() / GIB, 3)
    return _status_gib("VmHWM")


def reserved_gib(device: str) -> float:
    """The most memory that torch held since `reset_peak`, in GiB, with what lies unused in its cache."""
    return round(torch.cuda.max_memory_reserved() / GIB, 3) if device == "cuda" else _status_gib("VmHWM")


def allocated_gib(device: str) -> float:
    """Memory in use now, in GiB, counted as `peak_gib` does."""
    if device == "cuda":
        return round(torch.cuda.memory_allocated() / GIB, 3)
    return _status_gib("VmRSS")


def give_back(device: str) -> None:
    """Give what lies unused in torch's cache back to the device, for other processes."""
    if device == "cuda":
        torch.cuda.empty_cache()


def limit_memory(device: str, gib: float) -> None:
    """Let torch take no more than `gib` of the card, as if it had no more; nothing on a CPU."""
    if device == "cuda":
        total = torch.cuda.get_device_properties(0).total_memory / GIB
        torch.cuda.set_per_process_memory_fraction(min(1.0, gib / total))


def matrix_rate(device: str, dtype: torch.dtype, *, tiny: bool) -> float:
    """FLOP per second of a large product of random matrices: the median of ten, after three that do not count."""
    size = 256 if tiny else 8192
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    taken = [seconds_of(device, lambda: left @ right) for _ in range(13)][3:]
    return 2 * size**3 / sorted(taken)[len(taken) // 2]


def _status_gib(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kib = next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
    return round(kib * 1024 / GIB, 3)
