"""Top-p (nucleus) sampling (Holtzman et al. 2019)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from inferflow_core.interfaces import SampleStep
from inferflow_samplers.rows import NARROW, Array, keep_nuclei, keep_nucleus


@dataclass(frozen=True, kw_only=True)
class TopP:
    """Keeps the fewest likeliest tokens whose probabilities reach `top_p`, at least one. 1 keeps
    all. Of equally likely ones the lower ids come first."""

    api: ClassVar[int] = 1
    top_p: float = 1.0
    """The probability that those who stay have together."""

    def check(self, values: Mapping[str, float]) -> str:
        """From 0 to 1."""
        value = values["top_p"]
        return "" if 0 <= value <= 1 else f"top_p is {value}; it must be from 0 to 1"

    def reach(self, values: Mapping[str, float]) -> float:
        """See `interfaces.RankedSampler`."""
        return math.inf if values["top_p"] == 1 else 0

    def __call__(self, logits: Array, columns: Mapping[str, Array], step: SampleStep) -> Array:
        values = columns["top_p"]
        rows = (values < 1).nonzero()[0]
        if logits.shape[1] <= NARROW:
            keep_nuclei(logits, rows, values[rows])
        else:
            for row in rows:
                keep_nucleus(logits[row], values[row])
        return logits
