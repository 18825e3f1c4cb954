"""example.no_repeat: no sequence of n tokens comes twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from inferflow_core.interfaces import SampleStep

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True)
class NoRepeat:
    """Rules out tokens that would complete a sequence of `no_repeat` tokens that is there already.

    0 rules out nothing. A row that would be left without a choice stays as it is.
    """

    api: ClassVar[int] = 1
    no_repeat: int = 0

    def check(self, values: Mapping[str, float]) -> str:
        """A whole number from 0."""
        value = values["no_repeat"]
        whole = value >= 0 and value == value // 1
        return "" if whole else f"no_repeat is {value}; it must be a whole number from 0"

    def __call__(self, logits: Array, columns: Mapping[str, Array], step: SampleStep) -> Array:
        for row, history, n in zip(logits, step.histories, columns["no_repeat"], strict=True):
            banned = repeats(history, int(n)) if n else []
            if banned and np.isfinite(np.delete(row, banned)).any():
                row[banned] = -np.inf
        return logits


def repeats(history: Sequence[int], n: int) -> list[int]:
    """The tokens that followed the last n-1 tokens of a history wherever they stood before."""
    start = len(history) - n + 1
    last = list(history[start:])
    return sorted(
        {history[i + n - 1] for i in range(start) if list(history[i : i + n - 1]) == last}
    )
