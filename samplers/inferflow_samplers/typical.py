"""Locally typical sampling (Meister et al. 2022)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from inferflow_core.interfaces import SampleStep
from inferflow_samplers.rows import Array


@dataclass(frozen=True, kw_only=True)
class Typical:
    """Keeps the tokens that are about as surprising as the row is on average.

    Sorted by how far their information is from the row's entropy, the fewest that have `typical_p`
    of the probability, at least one. 1 keeps all. Of equally typical ones the lower ids come first.
    """

    api: ClassVar[int] = 1
    typical_p: float = 1.0
    """The probability that those who stay have together."""

    def check(self, values: Mapping[str, float]) -> str:
        """From 0 to 1."""
        value = values["typical_p"]
        return "" if 0 <= value <= 1 else f"typical_p is {value}; it must be from 0 to 1"

    def reach(self, values: Mapping[str, float]) -> float:
        """See `interfaces.RankedSampler`."""
        return math.inf if values["typical_p"] == 1 else 0

    def __call__(self, logits: Array, columns: Mapping[str, Array], step: SampleStep) -> Array:
        values = columns["typical_p"]
        for row in (values < 1).nonzero()[0]:
            _keep_typical(logits[row], values[row])
        return logits


def _keep_typical(row: Array, share: float) -> None:
    alive = np.flatnonzero(row > -np.inf)
    if not len(alive):
        return
    scores = row[alive].astype(np.float64)
    scores -= scores.max()
    scores -= np.log(np.exp(scores).sum())
    chances = np.exp(scores)
    entropy = -(chances * scores).sum()
    order = np.argsort(np.abs(scores + entropy), kind="stable")
    count = int(np.searchsorted(np.cumsum(chances[order]), share)) + 1
    row[alive[order[count:]]] = -np.inf
