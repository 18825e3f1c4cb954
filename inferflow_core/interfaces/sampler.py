"""Samplers: the stages between logits and a token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from inferflow_core.interfaces.arrays import Array


@dataclass(frozen=True)
class SampleStep:
    """What a sampler may look at beside the logits; one entry a row."""

    histories: Sequence[Sequence[int]]
    """Prompt and generated ids of the row's sequence."""
    prompt_lengths: Sequence[int]
    ids: Array | None = None
    """int64 [rows, columns]: the tokens that the logits' columns are, lower ids first; None where
    they are all tokens. See `RankedSampler`."""


class Sampler(Protocol):
    """An entry of `inferflow.samplers`: a frozen dataclass, one stage of the chain.

    Its fields are numbers; their values in the spec are the defaults, and a request may override
    each by the field's name. All rows of a step are done at once. It may have `reach`
    (`RankedSampler`).
    """

    api: ClassVar[int]

    def check(self, values: Mapping[str, float]) -> str:
        """Empty if these values of its fields make sense, else what is wrong and what is
        allowed. They are finite numbers."""
        ...

    def __call__(self, logits: Array, columns: Mapping[str, Array], step: SampleStep) -> Array:
        """float32 [rows, vocab] -> the same shape; -inf is "cannot be chosen". `columns` has a
        float64 [rows] array for each field. A row's result depends on that row alone. `logits`
        may be written to."""
        ...


@runtime_checkable
class RankedSampler(Protocol):
    """A sampler that tells how far down a row it looks. Where all of a chain do, a row of a large
    vocabulary may come as its largest logits alone, with `SampleStep.ids`, padded with -inf."""

    def reach(self, values: Mapping[str, float]) -> float:
        """A number k: what the row becomes depends on its k largest logits and those equal to the
        k-th, and no others stay. `inf`: what a logit becomes depends on itself and the row's
        largest, and a larger one stays no smaller. 0: it depends on all that is not ruled out."""
        ...
