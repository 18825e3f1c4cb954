"""A row's largest logits alone, where its samplers leave no others."""

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

BLOCK = 32
"""Logits of which one is the largest first; only the blocks of the largest are looked into."""
LEAST_VOCAB = 8192
MOST_SHARE = 24
"""At most one block in so many may be looked into, or little would be saved."""

SLACK, LEAST = 2.0**-20, 1e-30
"""What differs by less, of its size or at all, may become equal when a sampler rounds."""


def may_narrow(reach: float, vocab: int) -> bool:
    """Whether looking for a row's `reach` largest logits pays."""
    return vocab >= LEAST_VOCAB and 1 <= reach <= vocab // BLOCK // MOST_SHARE


def narrowed(logits: Array, counts: Array) -> tuple[Array, Array, Array]:
    """Of float32 [rows, vocab] the `counts[row]` largest, those equal to the last of them, and
    some that nearly are (what a sampler rounds may become equal): ids int64 and logits [rows,
    columns], by id, padded with 0 and -inf; and each row's largest, NaN where it has one.

    Block j holds the logits j, j + width, j + 2 width ...: so their maxima are found side by side.
    The k-th largest of the maxima is no larger than the k-th largest logit.
    """
    rows, vocab = logits.shape
    width = vocab // BLOCK
    blocks = logits[:, : BLOCK * width].reshape(rows, BLOCK, width)
    # What no block has stands beside the maxima, as blocks of one.
    maxima = np.concatenate((blocks.max(axis=1), logits[:, BLOCK * width :]), axis=1)
    largest = maxima.max(axis=1)
    floors = _floors(maxima, counts, largest)
    of, block = np.divmod(np.flatnonzero(maxima >= floors[:, None]), maxima.shape[1])
    single = block >= width
    inside = blocks[of, :, np.minimum(block, width - 1)]
    hits = (inside >= floors[of, None]) & ~single[:, None]
    found, place = np.divmod(np.flatnonzero(hits), BLOCK)
    row = np.concatenate((of[found], of[single]))
    id = np.concatenate((place * width + block[found], block[single] + (BLOCK - 1) * width))
    row, id = np.divmod(np.sort(row * vocab + id), vocab)
    lengths = np.bincount(row, minlength=rows)
    column = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    ids = np.zeros((rows, max(1, lengths.max())), np.int64)
    values = np.full(ids.shape, -np.inf, np.float32)
    ids[row, column] = id
    values[row, column] = logits[row, id]
    return ids, values, largest


def _floors(maxima: Array, counts: Array, largest: Array) -> Array:
    """For each row a little less than the `counts[row]`-th largest of the maxima; NaN where it has
    an infinity or a NaN."""
    places = maxima.shape[1] - counts
    kinds = {int(place) for place in places}
    floors = np.partition(maxima, list(kinds), axis=1)[np.arange(len(maxima)), places]
    with np.errstate(invalid="ignore"):
        return floors - (np.abs(floors) + np.abs(largest)) * np.float32(SLACK) - np.float32(LEAST)


def sole_largest(logits: Array) -> list[int]:
    """Of each row of float32 [rows, vocab] the column of the largest logit; empty where a row has
    others as large, or very nearly, or one that is no finite number."""
    found: list[int] = []
    for row in logits:
        best = int(row.argmax())
        largest = float(row[best])
        floor = largest - 2 * abs(largest) * SLACK - LEAST
        if not math.isfinite(largest) or np.count_nonzero(row >= floor) != 1:
            return []
        found.append(best)
    return found
