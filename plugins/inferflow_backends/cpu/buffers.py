"""Aligned memory whose addresses kernels may use, and its reuse within a program."""

from __future__ import annotations

import contextlib
import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

ALIGNMENT = 64
SLACK = 64
"""Bytes behind a buffer that a kernel's last vector may touch."""

HUGE = 2**21

Array = npt.NDArray[Any]


def aligned(count: int) -> Array:
    """uint8 zeros on a border of 64, with slack behind them."""
    raw = np.zeros(count + ALIGNMENT + SLACK, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + count]


def large(count: int) -> Array:
    """`aligned` for what every step reads from end to end: on pages of megabytes where the system
    has them, since a walk over small ones waits for their table (a quarter of the time, measured).
    """
    if count < HUGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return aligned(count)
    memory = mmap.mmap(-1, count + HUGE + SLACK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    raw = np.frombuffer(memory, np.uint8)
    start = -raw.ctypes.data % HUGE
    return raw[start : start + count]


def placed(values: Array) -> Array:
    """An aligned copy."""
    home = aligned(values.nbytes)
    home[:] = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    return home.view(values.dtype).reshape(values.shape)


def address(array: Array) -> int:
    return array.ctypes.data


def let_go(array: Array) -> None:
    """Gives back the memory of a file's pages that a contiguous array is all of: nobody needs them
    again soon. Nothing where it is no view of a mapped file."""
    base: Any = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    file = base.obj if isinstance(base, memoryview) else None
    if not isinstance(file, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
        return
    start = address(array) - address(np.frombuffer(file, np.uint8))
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (start + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if first < last:
        file.madvise(mmap.MADV_DONTNEED, first, last - first)


class Arena:
    """Buffers for values that live for a part of a step; a freed one is used again."""

    def __init__(self) -> None:
        self._free: list[Array] = []
        self.buffers: list[Array] = []

    def take(self, count: int) -> Array:
        """A buffer of at least `count` bytes: the smallest free one that fits, or a new one."""
        fitting = [buffer for buffer in self._free if buffer.nbytes >= count]
        if fitting:
            best = min(fitting, key=lambda buffer: buffer.nbytes)
            self._free = [buffer for buffer in self._free if buffer is not best]
            return best
        buffer = large(count)
        self.buffers.append(buffer)
        return buffer

    def give_back(self, buffer: Array) -> None:
        self._free.append(buffer)
