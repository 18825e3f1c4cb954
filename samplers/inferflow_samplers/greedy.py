"""The likeliest token, always."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from inferflow_core.interfaces import SampleStep
from inferflow_samplers.rows import Array, keep_best


@dataclass(frozen=True, kw_only=True)
class Greedy:
    """Leaves each row its largest logit (of equal ones, the lowest id)."""

    api: ClassVar[int] = 1

    def check(self, values: Mapping[str, float]) -> str:
        return ""

    def reach(self, values: Mapping[str, float]) -> float:
        """See `interfaces.RankedSampler`."""
        return 1

    def __call__(self, logits: Array, columns: Mapping[str, Array], step: SampleStep) -> Array:
        keep_best(logits, slice(None))
        return logits
