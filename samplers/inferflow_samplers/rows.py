"""What the samplers do to rows of logits. Every row's bits depend on that row alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def keep_best(logits: Array, rows: Any) -> None:
    """Leaves the rows their largest logit alone; a row that has a NaN keeps that."""
    index = np.arange(len(logits))[rows]
    best = logits[rows].argmax(axis=-1)
    values = logits[index, best]
    logits[rows] = -np.inf
    logits[index, best] = values


def divide(logits: Array, rows: Array, values: Array) -> None:
    """Divides the rows (a mask) by their value; the row's best is 0 first, so that no quotient
    overflows."""
    part = logits[rows]
    with np.errstate(over="ignore", invalid="ignore"):
        part -= part.max(axis=-1, keepdims=True)
        part /= np.maximum(values[rows, None], np.finfo(np.float32).tiny).astype(np.float32)
    logits[rows] = part


def kth_largest(logits: Array, rows: Array, counts: Array) -> Sequence[Array]:
    """For each row its `counts[row]`-th largest logit."""
    vocab = logits.shape[1]
    return [
        np.partition(logits[row], vocab - int(counts[row]))[vocab - int(counts[row])]
        for row in rows
    ]


def keep_above(logits: Array, rows: Array, floors: Sequence[Any]) -> None:
    """Rules out what is below the row's floor."""
    part = logits[rows]
    part[part < np.array(floors, np.float64)[:, None]] = -np.inf
    logits[rows] = part


def keep_nucleus(row: Array, share: float) -> None:
    """Rules out all but the fewest likeliest tokens that have `share` of the probability.

    Looks at the best 64 first, then at ever more of them: the nucleus is small nearly always, and
    sorting the whole row is what costs.
    """
    alive = np.flatnonzero(row > -np.inf)
    chances = np.exp(row[alive].astype(np.float64) - row.max())
    goal = share * chances.sum()
    count = 64
    while True:
        if count < len(chances):
            floor = np.partition(chances, len(chances) - count)[len(chances) - count]
            head = np.flatnonzero(chances >= floor)
        else:
            head = np.arange(len(chances))
        head = head[np.argsort(-chances[head], kind="stable")]
        reached = int(np.searchsorted(np.cumsum(chances[head]), goal))
        if reached < len(head) or len(head) == len(chances):
            break
        count *= 16
    kept = alive[head[: reached + 1]]
    values = row[kept]
    row[:] = -np.inf
    row[kept] = values
