"""How many threads pay while other processes use the processors too."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import mul

LOOK_EVERY_S = 0.01
ENOUGH_S = 0.06
"""Tapes of so many seconds are watched before it is judged: some turns of the scheduler."""
FIRST_REST_S, LONGEST_REST_S = 1.0, 8.0
"""How long a smaller crew runs before the whole team is tried again; each time in vain doubles."""


class Load:
    """A thread never waits off the processor while a tape runs, so the share of the time that it
    had one tells what others took.

    m threads go on together while all of them run: their speed is about m times the product of
    their shares. The m that is fastest so, leaving out those with the smallest shares, is wanted.
    """

    def __init__(self, threads: int) -> None:
        self._all = self._now = threads
        self._sums = [0.0] * (threads + 1)
        self._next_look = self._full_again = 0.0
        self._rest = FIRST_REST_S

    def is_due(self, now: float) -> bool:
        """Whether the tape that is about to run should be watched."""
        return now >= self._next_look

    def wanted(self, before: Sequence[float], after: Sequence[float]) -> int:
        """Threads of the next tape, from `Crew.times` around one."""
        now = after[0]
        self._next_look = now + LOOK_EVERY_S
        if self._now < self._all and now >= self._full_again:
            self._become(self._all)
            return self._now
        spent = [b - a for a, b in zip(before, after, strict=True)]
        self._sums = [a + b for a, b in zip(self._sums, spent, strict=True)]
        if self._sums[0] < ENOUGH_S:
            return self._now
        best = most_useful([own / self._sums[0] for own in self._sums[1:]])
        if best < self._now:
            self._full_again = now + self._rest
            self._rest = min(2 * self._rest, LONGEST_REST_S)
        elif self._now == self._all:
            self._rest = FIRST_REST_S
        self._become(best)
        return self._now

    def _become(self, threads: int) -> None:
        self._now, self._sums = threads, [0.0] * (threads + 1)


def most_useful(shares: Sequence[float]) -> int:
    """How many threads are fastest, given each one's share of a processor. Of equally fast numbers
    the smallest: it leaves more to others."""
    together = accumulate(sorted(shares, reverse=True), mul)
    speeds = [count * share for count, share in enumerate(together, 1)]
    return 1 + speeds.index(max(speeds))
