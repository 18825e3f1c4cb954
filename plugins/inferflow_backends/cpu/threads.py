"""How many threads a step has."""

from __future__ import annotations

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def allowed_processors() -> list[int]:
    """The processors that this process may use; empty where the system does not say which."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def quota() -> float | None:
    """Processors' worth of time that the control group may take; None where it is unbounded."""
    try:
        most, _, period = QUOTA.read_text().partition(" ")
        return int(most) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def default_threads() -> int:
    """One for each processor that this process may use, at most 64, and no more than it has time
    for: threads that wait for each other must all be running."""
    processors = len(allowed_processors()) or os.cpu_count() or 1
    return max(1, min(64, processors, int(quota() or processors)))
