"""The heap of a worker process, where the C library has settings for it: glibc does, musl and macOS do not and need none."""

import ctypes
import os
from typing import Final

ARENAS: Final = 2
_M_ARENA_MAX: Final = -8  # malloc.h


def few_arenas() -> bool:
    """Let all threads share two arenas of the heap. Call it before they start; ``MALLOC_ARENA_MAX`` of the environment counts more.

    glibc gives each thread an arena, up to eight for each core. A thread that only works at the start leaves its own behind,
    mostly empty, and no other fills the holes. Python lets one thread at a time run, so they would hardly ever wait for two.

    Returns:
        whether the bound was set.
    """
    limit = getattr(ctypes.CDLL(None), "mallopt", None)
    return limit is not None and "MALLOC_ARENA_MAX" not in os.environ and bool(limit(_M_ARENA_MAX, ARENAS))


def give_back() -> None:
    """Return the pages of the heap that nothing is on to the system. Other C libraries do so by themselves."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
