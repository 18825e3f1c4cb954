"""A tape's addresses are looked at once, when it is built: kernels believe whatever a row says."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
SMALLEST = 1 << 32
"""Words up to here are sizes, indices of the state or bits of a float32."""


def check_addresses(
    rows: Sequence[tuple[str, Array]], owned: Iterable[Array], kernels: Collection[int]
) -> None:
    """Every larger word of `rows` (name, int64 words) must lie in an owned array or be a kernel's
    address. Raises RuntimeError, which names the row: a mistake of who wrote its lowering."""
    spans = sorted((each.ctypes.data, each.ctypes.data + each.nbytes) for each in owned)
    starts = np.array([start for start, _ in spans], np.int64)
    ends = np.maximum.accumulate(np.array([end for _, end in spans], np.int64))
    for name, words in rows:
        for place in np.flatnonzero(words > SMALLEST):
            word = int(words[place])
            before = int(np.searchsorted(starts, word, "right")) - 1
            inside = before >= 0 and word < ends[before]
            if not inside and word not in kernels:
                raise RuntimeError(
                    f"word {place} of a row of {name!r} is {word:#x}, where nothing lies that the "
                    "program owns; buffers come from Lowering.output, .quantized and .words"
                )
