"""Min-p sampling (Nguyen et al. 2024)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from inferflow_core.interfaces import SampleStep
from inferflow_samplers.rows import Array, keep_above


@dataclass(frozen=True, kw_only=True)
class MinP:
    """Keeps the tokens at least `min_p` times as likely as the likeliest. 0 keeps all."""

    api: ClassVar[int] = 1
    min_p: float = 0.0
    """Share of the likeliest token's probability."""

    def check(self, values: Mapping[str, float]) -> str:
        """From 0 to 1."""
        value = values["min_p"]
        return "" if 0 <= value <= 1 else f"min_p is {value}; it must be from 0 to 1"

    def reach(self, values: Mapping[str, float]) -> float:
        """See `interfaces.RankedSampler`."""
        return math.inf

    def __call__(self, logits: Array, columns: Mapping[str, Array], step: SampleStep) -> Array:
        values = columns["min_p"]
        rows = (values > 0).nonzero()[0]
        if len(rows):
            best = logits.max(axis=-1)
            keep_above(logits, rows, [best[row] + math.log(values[row]) for row in rows])
        return logits
