"""A program for suites of engines: what it says of a token depends on all tokens before it, which
it finds through the block tables alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inferflow_core.interfaces import Sizes, Step

VOCAB = 40


def scores_of(history: Sequence[int]) -> list[float]:
    """[vocab], drawn from the history."""
    rng = random.Random(str(list(history)))
    return [rng.gauss(0, 3) for _ in range(VOCAB)]


def greedy_of(prompt: Sequence[int], count: int) -> list[int]:
    """The likeliest tokens after a prompt: what every engine must generate."""
    tokens = list(prompt)
    for _ in range(count):
        scores = scores_of(tokens)
        tokens.append(scores.index(max(scores)))
    return tokens[len(prompt) :]


@dataclass(frozen=True)
class Ready:
    outputs: Mapping[str, Any]

    def result(self) -> Mapping[str, Any]:
        return self.outputs


class ChainProgram:
    """Remembers the token in each place of each page. `array` makes arrays; from step `fail_at`
    on it raises."""

    def __init__(
        self, sizes: Sizes, array: Callable[[Sequence[float], Sequence[int]], Any]
    ) -> None:
        self._size, self._array = sizes.page_tokens, array
        self._pages = [[-1] * sizes.page_tokens for _ in range(sizes.pages)]
        self.largest_step = 0
        self.fail_at: int | None = None
        self.steps = 0

    def submit(self, step: Step, outputs: Sequence[str] = ("logits",)) -> Ready:
        if self.steps == self.fail_at:
            raise RuntimeError("the device is gone")
        self.steps += 1
        self.largest_step = max(self.largest_step, len(step.ids))
        for token, position, s in zip(step.ids, step.positions, step.seq_of, strict=True):
            page = int(step.block_tables[s][position // self._size])
            assert page > 0, "a token went to page 0, which is padding"
            self._pages[page][position % self._size] = int(token)
        rows = [self._scores(step, int(row)) for row in step.out_rows]
        logits = self._array([x for row in rows for x in row], (len(rows), VOCAB))
        return Ready(dict.fromkeys(outputs, logits))

    def copy_page(self, source: int, target: int) -> None:
        self._pages[target] = list(self._pages[source])

    def close(self) -> None:
        self._pages.clear()

    def _scores(self, step: Step, row: int) -> list[float]:
        s, end = int(step.seq_of[row]), int(step.positions[row]) + 1
        pages = step.block_tables[s][: -(-end // self._size)]
        return scores_of([token for page in pages for token in self._pages[int(page)]][:end])
