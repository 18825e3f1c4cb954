"""The thread team: as many threads as pay, in this process."""

from __future__ import annotations

import os
import time

from inferflow_backends.cpu.crew import Crew
from inferflow_backends.cpu.load import Load
from inferflow_backends.cpu.threads import allowed_processors

CAN_LOOK = hasattr(time, "pthread_getcpuclockid")
"""Whether a thread's processor time can be asked for (Linux)."""


class Team:
    """Runs tapes on a crew of `threads`, or of fewer for as long as others use the processors.

    A thread that is kept from running keeps all others waiting at the next barrier, and bits do not
    depend on how many there are. A team that has a thread for each processor of the process keeps
    each on its own; INFERFLOW_PIN=0 leaves them where they are. A fork has no threads but the one
    that forked: there the team begins again.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._load = Load(threads)
        self._crew = self._gathered(threads)

    def run(self, tape: int, rows: int, state: int, times: int = 0) -> None:
        """Runs the tape of so many rows at an address to its end; all are addresses. See `Crew`."""
        if self._crew.pid != os.getpid():
            self._crew = self._gathered(self._crew.threads)
        if not CAN_LOOK or self.threads == 1 or not self._load.is_due(time.perf_counter()):
            self._crew.run(tape, rows, state, times)
            return
        before = self._crew.times()
        self._crew.run(tape, rows, state, times)
        wanted = self._load.wanted(before, self._crew.times())
        if wanted != self._crew.threads:
            self._crew.close()
            self._crew = self._gathered(wanted)

    def close(self) -> None:
        self._crew.close()

    def _gathered(self, threads: int) -> Crew:
        processors = allowed_processors()
        own = threads == len(processors) and os.environ.get("INFERFLOW_PIN") != "0"
        crowded = threads > (len(processors) or os.cpu_count() or 1)
        return Crew(threads, processors if own else [], crowded=crowded)
