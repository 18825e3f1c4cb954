"""A program for suites of engines: what it says of a token depends on all tokens before it, which
it finds through the block tables alone; with an encoder, on the source before these."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from inferflow_core.interfaces import Sizes, Step

VOCAB = 40
BETWEEN = -1
"""Stands between a source and a target in the history that scores are drawn from."""


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
        self._sources = [[-1] * sizes.page_tokens for _ in range(sizes.source_pages)]
        self.encoded: list[list[int]] = []
        """How many tokens of each source were in each step of the encoder."""
        self.largest_step = 0
        self.fail_at: int | None = None
        self.steps = 0

    def submit(self, step: Step, outputs: Sequence[str] = ("logits",)) -> Ready:
        if self.steps == self.fail_at:
            raise RuntimeError("the device is gone")
        self.steps += 1
        self.largest_step = max(self.largest_step, len(step.ids))
        encodes = step.entry == "encode"
        pages = self._sources if encodes else self._pages
        if encodes:
            ends = [int(end) for end in step.offsets]
            counts = [end - begin for begin, end in pairwise(ends)]
            assert counts == [int(length) for length in step.lengths], "a source came in parts"
            self.encoded.append(counts)
        for token, position, s in zip(step.ids, step.positions, step.seq_of, strict=True):
            page = int(step.block_tables[s][position // self._size])
            assert page > 0, "a token went to page 0, which is padding"
            pages[page][position % self._size] = int(token)
        rows = [self._scores(step, int(row), pages) for row in step.out_rows]
        logits = self._array([x for row in rows for x in row], (len(rows), VOCAB))
        return Ready(dict.fromkeys(outputs, logits))

    def copy_page(self, source: int, target: int) -> None:
        self._pages[target] = list(self._pages[source])

    def close(self) -> None:
        self._pages.clear()

    def _scores(self, step: Step, row: int, pages: list[list[int]]) -> list[float]:
        s, end = int(step.seq_of[row]), int(step.positions[row]) + 1
        own = self._read(pages, step.block_tables[s], end)
        if step.source_tables is None or step.source_lengths is None:
            return scores_of(own)
        source = self._read(self._sources, step.source_tables[s], int(step.source_lengths[s]))
        return scores_of([*source, BETWEEN, *own])

    def _read(self, pages: list[list[int]], table: Sequence[int], end: int) -> list[int]:
        """The first `end` tokens of a sequence."""
        return [t for page in table[: -(-end // self._size)] for t in pages[int(page)]][:end]
