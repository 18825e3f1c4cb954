"""The thread team's compiled half: runs a tape on all threads, with barriers that spin.

Control words, on cache lines of their own where threads write them: how many tapes were given out,
arrivals at the barrier, the barrier's generation, the tape, its rows, the state, how many spins
before a thread gives way, stop, how many workers sleep, and for each thread how many tapes it has
done.
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
    ticks,
    yield_thread,
)

GIVEN, ARRIVED, GENERATION, TAPE, ROWS, STATE, PATIENCE = 0, 64, 128, 192, 200, 208, 216
STOP, SLEEPING, DONE = 256, 320, 384
ROW_BYTES = 128
SPINS_BEFORE_YIELD = 20_000
"""Some 0.2 to 1 ms: who gives way to another process loses a whole turn of the scheduler."""
YIELDS_BEFORE_SLEEP = 20_000
"""Some 4 ms where nobody else runs: a server's pauses between two steps are shorter."""


@njit(int64(int64, int64), **INNER)
def relax(control, spins):
    """Once round a loop that waits; one more than `spins`."""
    pause()
    if spins >= i64_at(control + PATIENCE):
        yield_thread()
    return spins + 1


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
        spins = relax(control, spins)
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


@njit(int64(int64, int64, int64, int64, int64, int64), **INNER)
def run_rows_timed(control, tape, rows, threads, state, times):
    """The first thread's part; adds the ticks of each row to `times` int64 [rows]."""
    before = ticks()
    for i in range(rows):
        row = tape + ROW_BYTES * i
        function = i64_at(row)
        if function:
            call_address(function, row, 0, threads, state)
        else:
            barrier(control, threads)
        after = ticks()
        set_i64(times + 8 * i, i64_at(times + 8 * i) + after - before)
        before = after
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
            spins = relax(control, spins)
            if spins > i64_at(control + PATIENCE) + YIELDS_BEFORE_SLEEP:
                return 1
            continue
        tape, rows = i64_at(control + TAPE), i64_at(control + ROWS)
        run_rows(control, tape, rows, tid, threads, i64_at(control + STATE))
        atomic_store(control + DONE + 64 * tid, done + 1)
        spins = 0


@njit(int64(int64, int64, int64, int64), **INNER)
def give(control, tape, rows, state):
    """Lets the workers begin a tape. Returns how many of them sleep and have to be woken."""
    set_i64(control + TAPE, tape)
    set_i64(control + ROWS, rows)
    set_i64(control + STATE, state)
    atomic_add(control + GIVEN, 1)
    return atomic_add(control + SLEEPING, 0)


@njit(int64(int64, int64), **INNER)
def may_sleep(control, tid):
    """Counts a worker among the sleeping. Returns whether there is still nothing to do: who gives
    out a tape later sees that it sleeps."""
    atomic_add(control + SLEEPING, 1)
    given = atomic_add(control + GIVEN, 0)
    return given == i64_at(control + DONE + 64 * tid) and not atomic_load(control + STOP)


@njit(int64(int64), **INNER)
def wake(control):
    """A worker sleeps no more."""
    return atomic_add(control + SLEEPING, -1)


@njit(int64(int64), **INNER)
def stop(control):
    """Lets the workers end."""
    return atomic_add(control + STOP, 1)


@njit(int64(int64, int64), **INNER)
def set_patience(control, crowded):
    """How long threads spin before they give way: not at all where they share processors."""
    set_i64(control + PATIENCE, 0 if crowded else SPINS_BEFORE_YIELD)
    return 0


@njit(int64(int64, int64, int64, int64, int64, int64), **INNER)
def take_part(control, tape, rows, threads, state, times):
    """The calling thread's part of a tape that was given out; returns when all have done theirs.
    `times`: where the ticks of rows go, or 0."""
    if times:
        run_rows_timed(control, tape, rows, threads, state, times)
    else:
        run_rows(control, tape, rows, 0, threads, state)
    given = atomic_load(control + GIVEN)
    for tid in range(1, threads):
        spins = 0
        while atomic_load(control + DONE + 64 * tid) != given:
            spins = relax(control, spins)
    return 0
