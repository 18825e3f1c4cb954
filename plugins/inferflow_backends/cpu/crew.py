"""A crew: the calling thread and daemon workers that run a tape together."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any

from inferflow_backends.cpu.buffers import address, aligned
from inferflow_backends.cpu.kernels import team as compiled


class Crew:
    """Workers spin while there is work, and sleep when there is none for a while.

    With `places` (a processor for each thread) all are kept there, the caller while it runs a tape:
    spinning threads that share a processor are a hundred times slower, and the scheduler does not
    always part them. Threads that share processors give way at once (`crowded`).
    """

    def __init__(self, threads: int, places: Sequence[int], *, crowded: bool) -> None:
        self.threads, self.places, self.pid = threads, places, os.getpid()
        control = aligned(compiled.DONE + 64 * threads)
        self._address = address(control)
        compiled.set_patience(self._address, crowded)
        self._awake = [threading.Event() for _ in range(threads - 1)]
        workers = [
            threading.Thread(
                target=_worker,
                args=(control, awake, tid, threads, places[tid : tid + 1]),
                name=f"inferflow-cpu-{tid}",
                daemon=True,
            )
            for tid, awake in enumerate(self._awake, 1)
        ]
        for worker in workers:
            worker.start()
        self._clocks = [_clock(worker) for worker in workers]
        self.close = weakref.finalize(self, _stop, control, self._awake)
        """Lets the workers end; they own what they still look at."""

    def run(self, tape: int, rows: int, state: int, times: int = 0) -> None:
        """Runs the tape at an address to its end, on all threads, without the GIL. `times`: the
        address of int64 [rows], to which this thread's ticks are added; 0: none."""
        _pin(self.places[:1])
        if compiled.give(self._address, tape, rows, state):
            for awake in self._awake:
                awake.set()
        compiled.take_part(self._address, tape, rows, self.threads, state, times)
        _pin(self.places)

    def times(self) -> list[float]:
        """Seconds: of the clock, and for each thread how long it has had a processor."""
        return [time.perf_counter(), time.thread_time(), *map(time.clock_gettime, self._clocks)]


def _clock(thread: threading.Thread) -> int:
    assert thread.ident is not None
    return time.pthread_getcpuclockid(thread.ident) if hasattr(time, "pthread_getcpuclockid") else 0


def _pin(places: Sequence[int]) -> None:
    """Keeps the calling thread on some processors; nothing where none are given."""
    if places:
        os.sched_setaffinity(0, places)


def _stop(control: Any, awake: Sequence[threading.Event]) -> None:
    compiled.stop(address(control))
    for event in awake:
        event.set()


def _worker(
    control: Any, awake: threading.Event, tid: int, threads: int, places: Sequence[int]
) -> None:
    _pin(places)
    while compiled.work(address(control), tid, threads):
        awake.clear()
        if compiled.may_sleep(address(control), tid):
            awake.wait()
        compiled.wake(address(control))
