"""From logits to tokens: the chain of samplers over all rows of a step, and the final draw."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Philox

from inferflow_core.errors import EngineError, InferflowError, RequestError, nearest
from inferflow_core.interfaces import Sampler, SampleStep

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Row:
    """What the draw for one row of logits depends on, beside the logits."""

    values: Sequence[float]
    """As `SamplerChain.values` gave them."""
    seed: int
    index: int
    """The token's place among those generated."""
    tokens: Sequence[int]
    prompt_length: int


class SamplerChain:
    """The samplers of a model in order; `fields` are the names that a request may set."""

    def __init__(self, samplers: Sequence[Sampler]) -> None:
        self._samplers = [
            (sampler, {f.name: getattr(sampler, f.name) for f in dataclasses.fields(sampler)})  # pyright: ignore[reportArgumentType]
            for sampler in samplers
        ]
        self.fields = sorted({name for _, defaults in self._samplers for name in defaults})

    def values(self, overrides: Mapping[str, float]) -> tuple[float, ...]:
        """Every sampler's fields in a row, for `Row.values`. Raises RequestError."""
        for name, value in overrides.items():
            if name not in self.fields:
                raise RequestError(
                    f"no sampler of this model has a parameter {name!r}."
                    f"{nearest(name, self.fields)} It has: {', '.join(self.fields) or 'none'}",
                    param=name,
                )
            if isinstance(value, str) or not math.isfinite(value):
                raise RequestError(f"{name} is {value!r}; it must be a finite number", param=name)
        values: list[float] = []
        for sampler, defaults in self._samplers:
            own = {name: float(overrides.get(name, old)) for name, old in defaults.items()}
            problem = sampler.check(own)
            if problem:
                raise RequestError(problem, param=next((n for n in own if n in overrides), None))
            values += own.values()
        return tuple(values)

    def choose(self, logits: Array, rows: Sequence[Row]) -> list[int | InferflowError]:
        """A token for each row of float32 [rows, vocab], or why there is none. `logits` stays.

        A sampler that fails on a step is tried again row by row, so that it ends only the
        requests whose rows it fails on.
        """
        try:
            return self._choose(logits, rows)
        except Exception as cause:
            if len(rows) > 1:
                return [self.choose(logits[i : i + 1], [row])[0] for i, row in enumerate(rows)]
            return [EngineError(f"a sampler failed: {type(cause).__name__}: {cause}")]

    def _choose(self, logits: Array, rows: Sequence[Row]) -> list[int | InferflowError]:
        sound = np.isfinite(logits.max(axis=-1))
        left = logits.copy()
        values = np.array([row.values for row in rows], np.float64)
        step = SampleStep([row.tokens for row in rows], [row.prompt_length for row in rows])
        first = 0
        for sampler, defaults in self._samplers:
            columns = {name: values[:, first + i] for i, name in enumerate(defaults)}
            left = sampler(left, columns, step)
            first += len(defaults)
        if left.shape != logits.shape:
            raise ValueError(f"logits came back as {left.shape}, not {logits.shape}")
        # A row with one token left needs no draw: the way of greedy rows. (`axis=` is 5x slower.)
        single = [np.count_nonzero(alive) == 1 for alive in left > -np.inf]
        best = left.argmax(axis=-1).tolist()
        return [
            EngineError("the model's logits are not finite numbers")
            if not sound[i]
            else best[i]
            if single[i]
            else draw(left[i], row.seed, row.index)
            for i, row in enumerate(rows)
        ]


def draw(logits: Array, seed: int, index: int) -> int | InferflowError:
    """A token of float32 [vocab] with probability softmax(logits), by the inverse of the
    cumulated probabilities in float64; the random number is a function of (seed, index) alone."""
    alive = np.flatnonzero(logits > -np.inf)
    if not len(alive):
        return EngineError("the samplers ruled out every token")
    scores = logits[alive].astype(np.float64)
    cumulated = np.cumsum(np.exp(scores - scores.max()))
    goal = uniform(seed, index) * cumulated[-1]
    place = int(np.searchsorted(cumulated, goal, side="right"))
    return int(alive[min(place, len(alive) - 1)])


def uniform(seed: int, index: int, number: int = 0) -> float:
    """The `number`-th random number in [0, 1) for a token: counter-based (Philox, Salmon et al.
    2011), so it depends on nothing that was drawn before."""
    bits = Philox(key=seed % 2**64, counter=[0, 0, number, index]).random_raw()
    return (int(bits) >> 11) * 2.0**-53


def logprobs(logits: Array, token: int, count: int) -> tuple[float, tuple[tuple[int, float], ...]]:
    """Of float32 [vocab] before any sampler: the token's log-probability, and the `count` best
    (id, log-probability), likeliest first and lower ids first among equals."""
    scores = logits.astype(np.float64)
    scores -= scores.max()
    scores -= math.log(np.exp(scores).sum())
    if count == 0:
        return float(scores[token]), ()
    count = min(count, len(scores))
    floor = np.partition(scores, len(scores) - count)[len(scores) - count]
    best = np.flatnonzero(scores >= floor)
    best = best[np.argsort(-scores[best], kind="stable")][:count]
    return float(scores[token]), tuple((int(i), float(scores[i])) for i in best)
