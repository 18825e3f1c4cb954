"""Where steps go: seconds of each row of the tapes, and of numpy between them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from inferflow_backends.cpu.buffers import address, aligned
from inferflow_core.interfaces import OpTime

Label = tuple[str, str]
"""A kernel's name and the path of the block that asked for it."""


class Profile:
    """Ticks have a unit of their own: the seconds of a tape are shared out by them. What rows took
    is what the first thread saw; `wait` is its waiting for others."""

    def __init__(self) -> None:
        self._tapes: dict[int, _Tape] = {}
        self._calls: list[tuple[Label, float]] = []

    def tape(self, labels: Sequence[Label], run: Callable[[int], None]) -> None:
        """Runs a tape: `run` takes the address where the ticks of its rows go."""
        tape = self._tapes.get(id(labels)) or _Tape(labels)
        self._tapes[id(labels)] = tape
        tape.ticks[:] = 0
        start = time.perf_counter()
        run(tape.address)
        seconds = time.perf_counter() - start
        tape.seconds += tape.ticks * (seconds / max(1, int(tape.ticks.sum())))
        tape.runs += 1

    def call(self, label: Label, run: Callable[[], Any]) -> None:
        """Runs an op of numpy."""
        start = time.perf_counter()
        run()
        self._calls.append((label, time.perf_counter() - start))

    def times(self) -> list[OpTime]:
        """The longest first."""
        found: dict[Label, tuple[int, float]] = {}
        every = [(label, 1, seconds) for label, seconds in self._calls]
        for tape in self._tapes.values():
            rows = zip(tape.labels, tape.seconds.tolist(), strict=True)
            every += [(label, tape.runs, seconds) for label, seconds in rows]
        for (name, path), calls, seconds in every:
            key = name, re.sub(r"\d+", "*", path)
            before = found.get(key, (0, 0.0))
            found[key] = before[0] + calls, before[1] + seconds
        times = [OpTime(*label, *sums) for label, sums in found.items()]
        return sorted(times, key=lambda each: -each.seconds)


class _Tape:
    """Sums of the rows of a tape."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self.labels = labels
        self.ticks = aligned(8 * len(labels)).view(np.int64)
        self.address = address(self.ticks)
        self.seconds = np.zeros(len(labels))
        self.runs = 0
