"""What the samplers do to rows of logits. Every row's bits depend on that row alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def keep_best(logits: Array, rows: Any) -> None:
    """Leaves the rows their largest logit alone; a row that has a NaN keeps that."""
    index = np.arange(len(logits))[rows]
    best = logits.argmax(axis=-1)[rows]
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
    """Rules out all but the fewest likeliest tokens that have `share` of the probability; of
    equally likely ones the lower ids stay.

    Sorts the best 64 first, and more of them only where those are not enough: the nucleus is
    small nearly always, and sorting the whole row is what costs.
    """
    alive = np.flatnonzero(row > -np.inf)
    if not len(alive):
        return
    chances = np.exp(row[alive].astype(np.float64) - row.max())
    goal = share * chances.sum()
    size = len(chances)
    for count in (64, 2048, size):
        top = np.partition(chances, size - count)[size - count :] if count < size else chances
        top = np.sort(top)[::-1]
        last = int(np.searchsorted(np.cumsum(top), goal))
        if last < len(top):
            break
    floor = top[min(last, len(top) - 1)]
    kept = chances > floor
    kept[np.flatnonzero(chances == floor)[: last + 1 - np.count_nonzero(kept)]] = True
    row[alive[~kept]] = -np.inf
