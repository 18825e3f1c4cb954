"""Top-k sampling (Fan et al. 2018)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from inferflow_core.interfaces import SampleStep
from inferflow_samplers.rows import Array, keep_above, kth_largest


@dataclass(frozen=True, kw_only=True)
class TopK:
    """Keeps the k largest logits, and those equal to the k-th. 0 keeps all."""

    api: ClassVar[int] = 1
    top_k: int = 0
    """How many stay."""

    def check(self, values: Mapping[str, float]) -> str:
        """A whole number, 0 or more."""
        value = values["top_k"]
        good = value >= 0 and float(value).is_integer()
        return "" if good else f"top_k is {value}; it must be a whole number >= 0 (0: off)"

    def reach(self, values: Mapping[str, float]) -> float:
        """See `interfaces.RankedSampler`."""
        return values["top_k"] or math.inf

    def __call__(self, logits: Array, columns: Mapping[str, Array], step: SampleStep) -> Array:
        values = columns["top_k"]
        rows = ((values > 0) & (values < logits.shape[1])).nonzero()[0]
        if len(rows):
            keep_above(logits, rows, kth_largest(logits, rows, values))
        return logits
