"""From logits to tokens: the chain of samplers over all rows of a step, and the final draw."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from inferflow_core.errors import EngineError, InferflowError, RequestError, nearest
from inferflow_core.interfaces import RankedSampler, Sampler, SampleStep
from inferflow_runtime.narrowing import may_narrow, narrowed, sole_largest
from inferflow_runtime.philox import philox

Array = np.ndarray[Any, np.dtype[Any]]

MANY = 4096
"""Of more tokens than this the probabilities are float32."""
DRAW_BLOCK = 1024


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
        self._room = np.empty((0, 0), np.float32)
        """For rows that samplers write to: fresh memory would cost more than the copy."""
        self._reach = lru_cache(256)(self._reach_of)
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
        reach = [self._reach(row.values) for row in rows]
        if all(k == 1 for k in reach) and (sole := sole_largest(logits)):
            return [*sole]
        narrow = [may_narrow(k, logits.shape[1]) for k in reach]
        if all(narrow):
            return self._of_largest(logits, reach, rows)
        if not any(narrow):
            return self._of_all(logits, rows)
        parts = [[i for i, one in enumerate(narrow) if one is side] for side in (True, False)]
        some, others = ([rows[i] for i in part] for part in parts)
        tokens = self._of_largest(logits[parts[0]], [reach[i] for i in parts[0]], some)
        tokens += self._of_all(logits[parts[1]], others)
        return [token for _, token in sorted(zip(parts[0] + parts[1], tokens, strict=True))]

    def _of_largest(
        self, logits: Array, reach: Sequence[float], rows: Sequence[Row]
    ) -> list[int | InferflowError]:
        """The tokens of rows whose samplers look at the largest logits alone."""
        ids, left, largest = narrowed(logits, np.array(reach, np.int64))
        left = self._left(left, rows, ids)
        if left.shape[1] > 1:
            columns = draw_together(left, [uniform(row.seed, row.index) for row in rows])
            ids = ids[np.arange(len(rows)), columns][:, None]
        alive = left.max(axis=1) > -np.inf
        return [
            token if sound and any_left else _no_token(sound)
            for token, sound, any_left in zip(
                ids[:, 0].tolist(), np.isfinite(largest).tolist(), alive.tolist(), strict=True
            )
        ]

    def _of_all(self, logits: Array, rows: Sequence[Row]) -> list[int | InferflowError]:
        """The tokens of whole rows."""
        sound = np.isfinite(logits.max(axis=-1)).tolist()
        if self._room.shape[0] < len(logits) or self._room.shape[1:] != logits.shape[1:]:
            self._room = np.empty_like(logits)
        left = self._room[: len(logits)]
        np.copyto(left, logits)
        left = self._left(left, rows, None)
        return [
            draw(left[i], row.seed, row.index) if sound[i] else _no_token(sound=False)
            for i, row in enumerate(rows)
        ]

    def _left(self, logits: Array, rows: Sequence[Row], ids: Array | None) -> Array:
        """What the samplers leave."""
        values, shape = np.array([row.values for row in rows], np.float64), logits.shape
        step = SampleStep([row.tokens for row in rows], [row.prompt_length for row in rows], ids)
        first = 0
        for sampler, defaults in self._samplers:
            columns = {name: values[:, first + i] for i, name in enumerate(defaults)}
            logits = sampler(logits, columns, step)
            first += len(defaults)
        if logits.shape != shape:
            raise ValueError(f"logits came back as {logits.shape}, not {shape}")
        return logits

    def _reach_of(self, values: tuple[float, ...]) -> float:
        """How many of a row's largest logits its samplers look at: the first that looks at a
        number of them decides. `inf` or 0 where all count."""
        first = 0
        reach: list[float] = []
        for sampler, defaults in self._samplers:
            if not isinstance(sampler, RankedSampler):
                return 0
            own = dict(zip(defaults, values[first : first + len(defaults)], strict=True))
            reach.append(sampler.reach(own))
            first += len(defaults)
        return next((k for k in reach if k < math.inf), math.inf)


def _no_token(sound: bool) -> EngineError:
    return EngineError(
        "the samplers ruled out every token"
        if sound
        else "the model's logits are not finite numbers"
    )


def draw(logits: Array, seed: int, index: int) -> int | InferflowError:
    """A token of float32 [vocab] with probability softmax(logits), by the inverse of the
    cumulated probabilities in float64; the random number is a function of (seed, index) alone."""
    left = logits > -np.inf
    count = np.count_nonzero(left)
    if count < 2:  # the way of greedy rows
        return int(left.argmax()) if count else _no_token(sound=True)
    number = uniform(seed, index)
    if count > MANY:
        return _draw_of_many(logits, number)
    alive = np.flatnonzero(left)
    scores = logits[alive].astype(np.float64)
    cumulated = np.cumsum(np.exp(scores - scores.max()))
    place = int(np.searchsorted(cumulated, number * cumulated[-1], side="right"))
    return int(alive[min(place, len(alive) - 1)])


def _draw_of_many(logits: Array, number: float) -> int:
    """The same with probabilities in float32: first the block of tokens, then the token in it."""
    chances = np.exp(logits - logits.max())
    starts = np.arange(0, len(chances), DRAW_BLOCK)
    sums = np.add.reduceat(chances, starts).astype(np.float64)
    ends = np.cumsum(sums)
    goal = number * ends[-1]
    block = min(int(np.searchsorted(ends, goal, side="right")), int(sums.nonzero()[0][-1]))
    inside = chances[starts[block] :][:DRAW_BLOCK].astype(np.float64)
    cumulated = np.cumsum(inside)
    place = np.searchsorted(cumulated, goal - (ends[block] - sums[block]), side="right")
    return int(starts[block]) + min(int(place), int(inside.nonzero()[0][-1]))


def draw_together(logits: Array, numbers: Sequence[float]) -> Array:
    """`draw` for many narrow rows, from a random number each: int64 [rows], columns. What is ruled
    out adds nothing to a sum; a row of which nothing is left gets any column."""
    with np.errstate(invalid="ignore"):
        scores = logits.astype(np.float64)
        cumulated = np.cumsum(np.exp(scores - scores.max(axis=1, keepdims=True)), axis=1)
        places = (cumulated <= cumulated[:, -1:] * np.array(numbers)[:, None]).sum(axis=1)
    last = logits.shape[1] - 1 - (logits > -np.inf)[:, ::-1].argmax(axis=1)
    return np.minimum(places, last)


def uniform(seed: int, index: int, number: int = 0) -> float:
    """The `number`-th random number in [0, 1) for a token: counter-based (Philox, Salmon et al.
    2011), so it depends on nothing that was drawn before."""
    return (philox(seed % 2**64, (1, 0, number, index)) >> 11) * 2.0**-53


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
