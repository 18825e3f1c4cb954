"""What the samplers do to rows of logits. Every row's bits depend on that row alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

NARROW = 1024
"""Rows of so many columns are cheaper sorted together than one by one."""
MANY = 4096
"""Of more tokens than this the probabilities are float32."""


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


def kth_largest(logits: Array, rows: Array, counts: Array) -> Array | Sequence[Array]:
    """For each row its `counts[row]`-th largest logit."""
    vocab = logits.shape[1]
    if vocab <= NARROW:
        return np.sort(logits[rows], axis=-1)[np.arange(len(rows)), -counts[rows].astype(np.int64)]
    return [
        np.partition(logits[row], vocab - int(counts[row]))[vocab - int(counts[row])]
        for row in rows
    ]


def keep_above(logits: Array, rows: Array, floors: Array | Sequence[Any]) -> None:
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
    if len(alive) > MANY:
        chances = np.exp(row[alive] - row.max())
        goal = share * float(chances.sum())
    else:
        chances = np.exp(row[alive].astype(np.float64) - row.max())
        goal = share * np.cumsum(chances)[-1]
    size = len(chances)
    for count in (64, 2048, size):
        top = np.partition(chances, size - count)[size - count :] if count < size else chances
        top = np.sort(top)[::-1]
        last = int(np.searchsorted(np.cumsum(top, dtype=np.float64), goal))
        if last < len(top):
            break
    floor = top[min(last, len(top) - 1)]
    kept = chances > floor
    kept[np.flatnonzero(chances == floor)[: last + 1 - np.count_nonzero(kept)]] = True
    row[alive[~kept]] = -np.inf


def keep_nuclei(logits: Array, rows: Array, shares: Array) -> None:
    """`keep_nucleus` for many narrow rows at once, with the same result. Sums go one by one, so
    what is ruled out adds nothing to them."""
    part = logits[rows]
    alive = part > -np.inf
    with np.errstate(invalid="ignore"):
        chances = np.exp(part.astype(np.float64) - part.max(axis=-1, keepdims=True))
    chances[~alive] = 0
    goals = shares * np.cumsum(chances, axis=-1)[:, -1]
    top = np.sort(chances, axis=-1)[:, ::-1]
    last = (np.cumsum(top, axis=-1) < goals[:, None]).sum(axis=-1)
    last = np.minimum(last, alive.sum(axis=-1) - 1)
    floors = top[np.arange(len(rows)), last][:, None]
    kept, equal = chances > floors, alive & (chances == floors)
    wanted = last + 1 - kept.sum(axis=-1)
    kept |= equal & (np.cumsum(equal, axis=-1) <= wanted[:, None])
    part[~kept] = -np.inf
    logits[rows] = part
