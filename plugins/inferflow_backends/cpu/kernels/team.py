"""The thread team's compiled half: runs a tape on all threads, with barriers that spin.

Control words (each on a cache line of its own): how many tapes were given out, arrivals at the
barrier, the barrier's generation, the tape, its rows, the state, stop, and for each thread how many
tapes it has done.
"""

from numba import int64, njit

from inferflow_backends.cpu.kernels.options import INNER
from inferflow_backends.cpu.simd import (
    atomic_add,
    atomic_load,
    atomic_store,
    call_address,
    i64_at,
    pause,
    set_i64,
    yield_thread,
)

GIVEN, ARRIVED, GENERATION, TAPE, ROWS, STATE, STOP, DONE = 0, 64, 128, 192, 200, 208, 256, 320
ROW_BYTES = 128
SPINS_BEFORE_YIELD = 2_000
SPINS_BEFORE_SLEEP = 30_000


@njit(int64(int64, int64), **INNER)
def barrier(control, threads):
    """Waits until all threads are here."""
    if threads == 1:
        return 0
    generation = atomic_load(control + GENERATION)
    if atomic_add(control + ARRIVED, 1) == threads - 1:
        atomic_store(control + ARRIVED, 0)
        atomic_store(control + GENERATION, generation + 1)
        return 0
    spins = 0
    while atomic_load(control + GENERATION) == generation:
        pause()
        spins += 1
        if spins > SPINS_BEFORE_YIELD:
            yield_thread()
    return 0


@njit(int64(int64, int64, int64, int64, int64, int64), **INNER)
def run_rows(control, tape, rows, tid, threads, state):
    """One thread's part of a tape."""
    for i in range(rows):
        row = tape + ROW_BYTES * i
        function = i64_at(row)
        if function:
            call_address(function, row, tid, threads, state)
        else:
            barrier(control, threads)
    return 0


@njit(int64(int64, int64, int64), **INNER)
def work(control, tid, threads):
    """A worker's loop. Returns 1 when there was nothing to do for a while, 0 to stop."""
    spins = 0
    while True:
        done = i64_at(control + DONE + 64 * tid)
        if atomic_load(control + STOP):
            return 0
        if atomic_load(control + GIVEN) == done:
            pause()
            spins += 1
            if spins > SPINS_BEFORE_SLEEP:
                return 1
            if spins > SPINS_BEFORE_YIELD:
                yield_thread()
            continue
        tape, rows = i64_at(control + TAPE), i64_at(control + ROWS)
        run_rows(control, tape, rows, tid, threads, i64_at(control + STATE))
        atomic_store(control + DONE + 64 * tid, done + 1)
        spins = 0


@njit(int64(int64, int64, int64, int64), **INNER)
def give(control, tape, rows, state):
    """Lets the workers begin a tape."""
    set_i64(control + TAPE, tape)
    set_i64(control + ROWS, rows)
    set_i64(control + STATE, state)
    return atomic_add(control + GIVEN, 1)


@njit(int64(int64, int64, int64, int64, int64), **INNER)
def take_part(control, tape, rows, threads, state):
    """The calling thread's part of a tape that was given out; returns when all have done theirs."""
    run_rows(control, tape, rows, 0, threads, state)
    given = atomic_load(control + GIVEN)
    for tid in range(1, threads):
        spins = 0
        while atomic_load(control + DONE + 64 * tid) != given:
            pause()
            spins += 1
            if spins > SPINS_BEFORE_YIELD:
                yield_thread()
    return 0
