"""What the C library does with freed memory."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
"""Names of `mallopt`'s parameters in glibc's malloc.h."""


def keep_freed_memory() -> bool:
    """Give what is free to the kernel now and keep what is freed from now on; False where the C library is not glibc.

    A network frees megabytes after each step and asks for them again for the next. By default glibc gives large pieces back
    to the kernel each time, which zeroes each page anew: a tenth of the time, and more on virtual machines.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt") or not hasattr(library, "malloc_trim"):
        return False
    library.malloc_trim(0)
    return all([library.mallopt(_ARENA_MAX, 1), library.mallopt(_MMAP_MAX, 0), library.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)])
