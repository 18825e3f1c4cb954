"""How many threads a step has."""

from __future__ import annotations

import os


def allowed_processors() -> list[int]:
    """The processors that this process may use; empty where the system does not say which."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def default_threads() -> int:
    """One for each processor that this process may use, at most 64."""
    return max(1, min(64, len(allowed_processors()) or os.cpu_count() or 1))
