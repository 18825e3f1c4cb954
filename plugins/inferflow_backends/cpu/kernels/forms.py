"""Forms: packed formats as numbers in a tape, and the bytes of a block of 16 rows x 32 columns."""

from numba import int64, njit

from inferflow_backends.cpu.kernels.options import INNER

Q4_0, Q4_1, Q8_0 = 0, 1, 2
FORMS = {"q4_0": Q4_0, "q4_1": Q4_1, "q8_0": Q8_0}
"""Format -> form."""


@njit(int64(int64), **INNER)
def code_bytes(form):
    return 512 if form == Q8_0 else 256


@njit(int64(int64), **INNER)
def scale_bytes(form):
    """Float16 scales of 16 rows, and as many minimums."""
    return 64 if form == Q4_1 else 32
