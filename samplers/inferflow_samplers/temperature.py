"""Temperature: how sharply likelier tokens are preferred."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from inferflow_core.interfaces import SampleStep
from inferflow_samplers.rows import Array, divide, keep_best

HOTTEST = 1e6
"""Beyond this, quotients may be too small for float32."""


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """Divides the logits. Below 1 sharper, above 1 flatter; 0 leaves the likeliest token alone."""

    api: ClassVar[int] = 1
    temperature: float = 1.0
    """Divides the logits."""

    def check(self, values: Mapping[str, float]) -> str:
        """Finite, and 0 or more."""
        value = values["temperature"]
        return "" if 0 <= value < float("inf") else f"temperature is {value}; it must be >= 0"

    def reach(self, values: Mapping[str, float]) -> float:
        """See `interfaces.RankedSampler`. So hot that logits which differ become equal, it is one
        of those that look at all."""
        hot = values["temperature"] > HOTTEST
        return 0 if hot else math.inf if values["temperature"] else 1

    def __call__(self, logits: Array, columns: Mapping[str, Array], step: SampleStep) -> Array:
        values = columns["temperature"]
        greedy = values == 0
        if greedy.any():
            keep_best(logits, greedy)
        scaled = ~greedy & (values != 1)
        if scaled.any():
            divide(logits, scaled, values)
        return logits
