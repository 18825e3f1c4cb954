"""The thread team of cpu: sleep, fork, crowds, and what it makes of other processes' load."""

import itertools
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="the cpu backend needs numba")

import numpy as np
from inferflow_backends.cpu import threads
from inferflow_backends.cpu.buffers import address, aligned
from inferflow_backends.cpu.kernel_cache import kernels_cached_here
from inferflow_backends.cpu.load import ENOUGH_S, FIRST_REST_S, Load, most_useful
from inferflow_backends.cpu.threads import default_threads

with kernels_cached_here():
    from inferflow_backends.cpu.kernels.elementwise import CODES, op_flat
    from inferflow_backends.cpu.team import Team

WIDTH = 4096

SUM_IN_A_FORK = """
import os, sys
sys.path.insert(0, {folder!r})
from test_team import Sum
sum = Sum(2)
sum.run()
child = os.fork()
if child == 0:
    sum.run()
    sum.team.close()
    os._exit(0)
_, status = os.waitpid(child, 0)
sum.run()
sum.team.close()
print(status)
"""


class Sum:
    """A tape of three rows, c = a + b, d = c + b, e = d + b, whose result is looked at."""

    def __init__(self, count: int) -> None:
        self.team = Team(count)
        self.buffers = [aligned(4 * WIDTH).view(np.float32) for _ in range(5)]
        self.buffers[0][:], self.buffers[1][:] = np.arange(WIDTH), 1
        self.state = aligned(256).view(np.int64)
        self.state[0] = WIDTH
        at = [address(buffer) for buffer in self.buffers]
        head, places = [op_flat.address, 0, 1, CODES["add"]], ((0, 2), (2, 3), (3, 4))
        rows = [[*head, at[i], 1, at[1], 1, at[j], *[0] * 7] for i, j in places]
        self.tape = np.array([rows[0], [0] * 16, rows[1], [0] * 16, rows[2]], np.int64)

    def run(self) -> None:
        self.buffers[4][:] = 0
        self.team.run(address(self.tape), len(self.tape), address(self.state))
        assert np.array_equal(self.buffers[4], np.arange(WIDTH) + 3)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_tapes_end_right_whenever_they_come(count: int) -> None:
    """Also with more threads than processors, and when workers are just about to sleep."""
    sum = Sum(count)
    for pause in itertools.islice(itertools.cycle((0, 0, 0.004, 0.02)), 60):
        sum.run()
        time.sleep(pause)
    sum.team.close()


def test_an_idle_team_sleeps() -> None:
    sum = Sum(3)
    sum.run()
    time.sleep(0.2)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1
    sum.run()
    sum.team.close()


def test_a_fork_has_a_team_of_its_own() -> None:
    code = SUM_IN_A_FORK.format(folder=str(Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "0", done.stderr


@pytest.mark.parametrize(
    ("shares", "threads"),
    [
        ([1, 1], 2),
        ([0.98, 0.9], 2),
        ([1, 0.5], 1),
        ([0.4, 1], 1),
        ([1, 1, 0.5, 1], 3),
        ([1, 1, 0.95, 1], 4),
        ([0.6, 0.6, 0.6, 0.6], 2),
    ],
)
def test_how_many_threads_pay(shares: list[float], threads: int) -> None:
    assert most_useful(shares) == threads


def test_a_taken_processor_is_left_alone_for_a_while_and_tried_again() -> None:
    load, now = Load(2), 10.0

    def watch(*shares: float) -> int:
        nonlocal now
        before = [now, *(0.0 for _ in shares)]
        now += ENOUGH_S
        return load.wanted(before, [now, *(share * ENOUGH_S for share in shares)])

    assert watch(1, 0.98) == 2
    assert watch(1, 0.4) == 1
    assert watch(1) == 1
    now += FIRST_REST_S
    assert watch(1) == 2
    assert watch(1, 0.4) == 1
    now += FIRST_REST_S
    assert watch(1) == 1, "the rest is longer each time"
    now += FIRST_REST_S
    assert watch(1) == 2
    assert watch(1, 0.99) == 2


def test_threads_are_no_more_than_the_container_has_time_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    most = tmp_path / "cpu.max"
    monkeypatch.setattr(threads, "QUOTA", most)
    monkeypatch.setattr(threads, "allowed_processors", lambda: [0, 1, 2, 3])
    assert default_threads() == 4
    for text, count in (("max 100000", 4), ("250000 100000", 2), ("50000 100000", 1)):
        most.write_text(text)
        assert default_threads() == count
