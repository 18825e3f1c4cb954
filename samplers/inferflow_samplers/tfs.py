"""Tail-free sampling (Phénix and Egan 2019)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from inferflow_core.interfaces import SampleStep
from inferflow_samplers.rows import Array


@dataclass(frozen=True, kw_only=True)
class TFS:
    """Cuts the tail where the curve of sorted probabilities has become flat.

    The second differences of that curve, without sign, are made to sum to 1; each belongs to the
    token in its middle. The likeliest token stays, and those up to which they sum to at most
    `tfs_z`. 1 keeps all. Of equally likely tokens the lower ids come first.
    """

    api: ClassVar[int] = 1
    tfs_z: float = 1.0
    """What the second differences may sum to."""

    def check(self, values: Mapping[str, float]) -> str:
        """From 0 to 1."""
        value = values["tfs_z"]
        return "" if 0 <= value <= 1 else f"tfs_z is {value}; it must be from 0 to 1"

    def reach(self, values: Mapping[str, float]) -> float:
        """See `interfaces.RankedSampler`."""
        return math.inf if values["tfs_z"] == 1 else 0

    def __call__(self, logits: Array, columns: Mapping[str, Array], step: SampleStep) -> Array:
        values = columns["tfs_z"]
        for row in (values < 1).nonzero()[0]:
            _cut_tail(logits[row], values[row])
        return logits


def _cut_tail(row: Array, share: float) -> None:
    alive = np.flatnonzero(row > -np.inf)
    order = alive[np.argsort(-row[alive], kind="stable")]
    if len(order) < 3:
        return
    scores = row[order].astype(np.float64)
    bends = np.abs(np.diff(np.exp(scores - scores[0]), 2))
    total = bends.sum()
    if total > 0:
        row[order[1 + np.count_nonzero(np.cumsum(bends) <= share * total) :]] = -np.inf
