"""Samplers: the stages between logits and a token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from inferflow_core.interfaces.arrays import Array


@dataclass(frozen=True)
class SampleStep:
    """What a sampler may look at beside the logits; one entry a row."""

    histories: Sequence[Sequence[int]]
    """Prompt and generated ids of the row's sequence."""
    prompt_lengths: Sequence[int]


class Sampler(Protocol):
    """An entry of `inferflow.samplers`: a frozen dataclass, one stage of the chain.

    Its fields are numbers; their values in the spec are the defaults, and a request may override
    each by the field's name. All rows of a step are done at once.
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
