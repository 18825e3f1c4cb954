"""Sizes of the parts, and processes that are timed or weighed from outside."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

Figures = dict[str, float]
"""Rates are tokens/s. Those of one name are compared; what an engine has no method for is not."""
PROMPT, GEN, LONG, LONG_GEN = 512, 64, 8192, 32
BATCHES, BATCH_PROMPT, BATCH_GEN = (8, 16), 128, 32
TEXT = "The sea is"
BESIDE = Path(__file__).parent
LIMIT_S = 900
"""A process that takes longer has failed."""


class Hog:
    """Another process that keeps the first of the processors busy."""

    def __enter__(self) -> None:
        first = min(os.sched_getaffinity(0))
        code = f"import os\nos.sched_setaffinity(0, {{{first}}})\nwhile True: pass"
        self._process = subprocess.Popen([sys.executable, "-c", code])

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-300:]}")
    return done.stdout


def first_byte(command: list[str]) -> float:
    """Seconds from the start of a process to the first of what it writes."""
    start = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        found = stream(process.stdout).read(1)
        seconds = time.perf_counter() - start
    if not found:
        raise RuntimeError(f"{' '.join(command)} wrote nothing")
    return seconds


def peak(command: list[str]) -> float:
    """The most memory that a process held, in GB: pages of mapped files count."""
    null = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=null, stderr=null)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed")
    return usage.ru_maxrss * 1024 / 1e9


def stream(pipe: IO[Any] | None) -> IO[Any]:
    assert pipe is not None
    return pipe
