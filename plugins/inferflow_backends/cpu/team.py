"""The thread team: one calling thread and daemon workers that run a tape together."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

import numpy as np

from inferflow_backends.cpu.buffers import address, aligned
from inferflow_backends.cpu.kernels import team as compiled
from inferflow_backends.cpu.threads import allowed_processors


class Team:
    """Workers spin while there is work, and sleep on an event when there is none for a while.

    A team that has a thread for each processor of the process pins them, the calling thread while
    it runs a tape: spinning threads that share a processor are a hundred times slower, and the
    scheduler does not always part them. INFERFLOW_PIN=0 leaves all threads where they are.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._control = aligned(compiled.DONE + 64 * threads)
        self._address = address(self._control)
        self._awake = threading.Event()
        processors = allowed_processors()
        wanted = threads == len(processors) and os.environ.get("INFERFLOW_PIN") != "0"
        self._places = processors if wanted else []
        self._stop = weakref.finalize(self, _stop, self._control, self._awake)
        for tid in range(1, threads):
            threading.Thread(
                target=_worker,
                args=(self._control, self._awake, tid, threads, self._places[tid : tid + 1]),
                name=f"inferflow-cpu-{tid}",
                daemon=True,
            ).start()

    def run(self, tape: Any, state: Any) -> None:
        """Runs a tape (int64 [rows, 16]) to its end, on all threads, without the GIL."""
        _pin(self._places[:1])
        rows, state_address = len(tape), address(state)
        compiled.give(self._address, address(tape), rows, state_address)
        self._awake.set()
        compiled.take_part(self._address, address(tape), rows, self.threads, state_address)
        _pin(self._places)

    def close(self) -> None:
        """Lets the workers end; they own what they still look at."""
        self._stop()


def _pin(places: list[int]) -> None:
    """Keeps the calling thread on some processors; nothing where none are given."""
    if places:
        os.sched_setaffinity(0, places)


def _stop(control: Any, awake: threading.Event) -> None:
    control.view(np.int64)[compiled.STOP // 8] = 1
    awake.set()


def _worker(
    control: Any, awake: threading.Event, tid: int, threads: int, places: list[int]
) -> None:
    _pin(places)
    words = control.view(np.int64)
    while compiled.work(address(control), tid, threads):
        awake.clear()
        given, done = words[compiled.GIVEN // 8], words[(compiled.DONE + 64 * tid) // 8]
        if given == done and not words[compiled.STOP // 8]:
            awake.wait()
