"""The thread team: one calling thread and daemon workers that run a tape together."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

import numpy as np

from inferflow_backends.cpu.buffers import address, aligned
from inferflow_backends.cpu.kernels import team as compiled


class Team:
    """Workers spin while there is work, and sleep on an event when there is none for a while."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._control = aligned(compiled.DONE + 64 * threads)
        self._address = address(self._control)
        self._awake = threading.Event()
        self._stop = weakref.finalize(self, _stop, self._control, self._awake)
        for tid in range(1, threads):
            threading.Thread(
                target=_worker,
                args=(self._control, self._awake, tid, threads),
                name=f"inferflow-cpu-{tid}",
                daemon=True,
            ).start()

    def run(self, tape: Any, state: Any) -> None:
        """Runs a tape (int64 [rows, 16]) to its end, on all threads, without the GIL."""
        rows, state_address = len(tape), address(state)
        compiled.give(self._address, address(tape), rows, state_address)
        self._awake.set()
        compiled.take_part(self._address, address(tape), rows, self.threads, state_address)

    def close(self) -> None:
        """Lets the workers end; they own what they still look at."""
        self._stop()


def default_threads() -> int:
    """The processors that this process may use, at most 64."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(64, allowed or 1))


def _stop(control: Any, awake: threading.Event) -> None:
    control.view(np.int64)[compiled.STOP // 8] = 1
    awake.set()


def _worker(control: Any, awake: threading.Event, tid: int, threads: int) -> None:
    words = control.view(np.int64)
    while compiled.work(address(control), tid, threads):
        awake.clear()
        given, done = words[compiled.GIVEN // 8], words[(compiled.DONE + 64 * tid) // 8]
        if given == done and not words[compiled.STOP // 8]:
            awake.wait()
