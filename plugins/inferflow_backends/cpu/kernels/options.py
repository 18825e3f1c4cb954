"""How every kernel is compiled. No fast-math: it would change bits with the shape of a loop."""

from collections.abc import Callable
from functools import cache
from inspect import signature
from typing import Any

from numba import cfunc, int64

from inferflow_backends.cpu.kernel_cache import kernels_cached_here

OPTIONS = {"nopython": True, "cache": True, "error_model": "numpy"}
"""For `cfunc`."""

INNER = {"nogil": True, "cache": True, "error_model": "numpy", "inline": "never"}
"""For `njit` functions that ops call."""

HELPER = {**INNER, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""For those that nothing else calls: without wrappers they compile in half the time."""

OP = int64(int64, int64, int64, int64)
"""`int64 op(row, tid, threads, state)`."""


@cache
def compiled(function: Callable[..., int]) -> Any:
    """A function of int64 numbers at module level, compiled (or read from the cache) when it is
    first asked for. `address` is what tapes and `call_7` take."""
    count = len(signature(function).parameters)
    with kernels_cached_here():
        return cfunc(int64(*[int64] * count), **OPTIONS)(function)
