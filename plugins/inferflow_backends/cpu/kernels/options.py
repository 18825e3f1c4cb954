"""How every kernel is compiled. No fast-math: it would change bits with the shape of a loop."""

from numba import int64

OPTIONS = {"nopython": True, "cache": True, "error_model": "numpy"}
"""For `cfunc`."""

INNER = {"nogil": True, "cache": True, "error_model": "numpy", "inline": "never"}
"""For `njit` functions that ops call."""

OP = int64(int64, int64, int64, int64)
"""`int64 op(row, tid, threads, state)`."""
