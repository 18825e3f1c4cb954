"""Made-up matrices in the formats of GGUF, for tests of packed weights."""

from typing import Any

import numpy as np
from inferflow_backends.cpu.layouts import LAYOUTS
from inferflow_backends.cpu.pack import format_kernels

ROWS, COLUMNS = 40, 512
HALVES = {"q2_k": (80, 82), "q3_k": (108,), "q4_k": (0, 2), "q5_k": (0, 2), "q6_k": (208,)}
HALVES |= {"q4_1": (0, 2), "q5_1": (0, 2)}
"""Where a block has its float16 numbers, if not at 0 alone."""


def blocks(format: str, rows: int = ROWS, columns: int = COLUMNS) -> Any:
    """Any bytes, but for scales of a sensible size; uint8 [rows, bytes]."""
    rng = np.random.default_rng(len(format) + rows)
    units = columns // LAYOUTS[format].unit
    raw = rng.integers(0, 256, (rows, units, format_kernels(format).UNIT_BYTES), np.uint8)
    for place in HALVES.get(format, (0,)):
        halves = (rng.standard_normal((rows, units)) / 64).astype(np.float16)
        raw[:, :, place : place + 2] = halves[..., None].view(np.uint8)
    return raw.reshape(rows, -1)
