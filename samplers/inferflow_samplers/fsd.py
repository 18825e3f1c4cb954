"""Frustratingly simple decoding (Yang et al. 2023, arXiv 2305.12675)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from inferflow_core.interfaces import SampleStep
from inferflow_samplers.rows import Array, keep_nucleus, kth_largest

NUCLEUS_TOKENS = 8
NUCLEUS_SHARE = 0.93
"""What the first tokens are drawn from where `fsd_random` is set: the original engine's numbers."""
MAX_CANDIDATES = 64
"""Each is counted in the whole history: a request must not buy more than a step's work."""


@dataclass(frozen=True, kw_only=True)
class FSD:
    """Takes, of the `fsd_k` likeliest tokens, the one that best joins likelihood and novelty.

    The score is (1 - alpha) p - alpha q, with q the probability that an n-gram model of the prompt
    and the answer so far gives the token: contexts of n-1 … 0 tokens, each with the share
    `fsd_beta` of the weight that longer ones left; one that was never seen leaves all of it. Each
    of the answer's first `fsd_random` tokens is, with odds of one half, drawn from the nucleus
    instead. `fsd_k` = 0 changes nothing.
    """

    api: ClassVar[int] = 1
    fsd_k: int = 0
    """Candidates; 0: off."""
    fsd_alpha: float = 0.5
    """Weight of novelty, 0 to 1."""
    fsd_n: int = 3
    """Tokens of the longest n-gram."""
    fsd_beta: float = 0.9
    """Share of the weight that each shorter context gets."""
    fsd_random: int = 0
    """How many first tokens may be drawn."""

    def check(self, values: Mapping[str, float]) -> str:
        """Shares from 0 to 1; whole numbers, `fsd_k` to 64, `fsd_n` from 1 to 16."""
        for name in ("fsd_alpha", "fsd_beta"):
            if not 0 <= values[name] <= 1:
                return f"{name} is {values[name]}; it must be from 0 to 1"
        for name in ("fsd_k", "fsd_n", "fsd_random"):
            if not (values[name] >= 0 and float(values[name]).is_integer()):
                return f"{name} is {values[name]}; it must be a whole number >= 0"
        if values["fsd_k"] > MAX_CANDIDATES:
            return f"fsd_k is {values['fsd_k']}; it must be at most {MAX_CANDIDATES}"
        if not 1 <= values["fsd_n"] <= 16:
            return f"fsd_n is {values['fsd_n']}; it must be from 1 to 16"
        return ""

    def reach(self, values: Mapping[str, float]) -> float:
        """See `interfaces.RankedSampler`."""
        return 0 if values["fsd_k"] else math.inf

    def __call__(self, logits: Array, columns: Mapping[str, Array], step: SampleStep) -> Array:
        counts = columns["fsd_k"]
        for i in (counts > 0).nonzero()[0].tolist():
            row, history = logits[i], np.asarray(step.histories[i])
            tokens, chances = _likeliest(row, counts[i])
            if not len(tokens):
                continue
            alpha, beta = columns["fsd_alpha"][i], columns["fsd_beta"][i]
            ids = tokens if step.ids is None else step.ids[i][tokens]
            seen = ngram_chances(history, ids, order=int(columns["fsd_n"][i]), beta=beta)
            best = int(tokens[((1 - alpha) * chances - alpha * seen).argmax()])
            if len(history) - step.prompt_lengths[i] < columns["fsd_random"][i]:
                _mix(row, best)
            else:
                value = row[best]
                row[:] = -np.inf
                row[best] = value
        return logits


def ngram_chances(
    history: Array, tokens: Sequence[int] | Array, *, order: int, beta: float
) -> Array:
    """How likely each of `tokens` [k] is to an n-gram model of `history` [length]: float64 [k].

    After a context of one token or more, what came c of t times counts as c / (t + 1).
    """
    result = np.zeros(len(tokens))
    left = 1.0
    for length in range(min(order - 1, len(history) - 1), -1, -1):
        starts = np.ones(len(history) - length, np.bool_)
        for back in range(length):
            starts &= history[back : len(history) - length + back] == history[back - length]
        followers = history[length:][starts]
        if len(followers):
            counts = np.array([np.count_nonzero(followers == token) for token in tokens])
            weight = left * beta if length else left
            result += weight * counts / (len(followers) + (length > 0))
            left -= weight
    return result


def _likeliest(row: Array, count: float) -> tuple[Array, Array]:
    """The `count` best tokens, likeliest and lower ids first, and their probabilities."""
    alive = np.flatnonzero(row > -np.inf)
    if not len(alive):
        return alive, alive
    floor = kth_largest(row[None], np.array([0]), np.array([min(count, len(alive))]))[0]
    best = np.flatnonzero(row >= floor)
    best = best[np.argsort(-row[best], kind="stable")][: int(count)]
    scores = row.astype(np.float64) - row[best[0]]
    return best, np.exp(scores[best]) / np.exp(scores[alive]).sum()


def _mix(row: Array, best: int) -> None:
    """Logits of "with odds of one half `best`, else a draw from the nucleus"."""
    tokens, chances = _likeliest(row, NUCLEUS_TOKENS)
    nucleus = np.full(len(row), -np.inf)
    nucleus[tokens] = np.log(chances)
    keep_nucleus(nucleus, NUCLEUS_SHARE / chances.sum() if chances.sum() > NUCLEUS_SHARE else 1)
    kept = np.exp(nucleus)
    kept /= 2 * kept.sum()
    kept[best] += 0.5
    with np.errstate(divide="ignore"):
        row[:] = np.log(kept)
