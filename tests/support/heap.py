"""How much the C library has given out to this process: what libraries in C and Rust keep shows here, and nowhere in Python."""

import ctypes

import pytest


class _MallInfo(ctypes.Structure):
    """``struct mallinfo2`` of malloc.h."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    ]


def in_use() -> int:
    """Bytes. A test is skipped where the C library does not tell: it is glibc's, of version 2.33 or later, that does."""
    tell = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if tell is None:
        pytest.skip("this C library has no mallinfo2")
    tell.restype = _MallInfo
    told = tell()
    return int(told.uordblks + told.hblkhd)
