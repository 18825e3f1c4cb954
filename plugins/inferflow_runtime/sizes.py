"""How much a program must have room for, from `[run]`, the checkpoint and the machine's memory."""

from collections.abc import Iterable
from math import prod
from pathlib import Path

from inferflow_core.block import SourceState, State, TokenState
from inferflow_core.errors import UsageError
from inferflow_core.interfaces import Sizes
from inferflow_core.spec import Run

DEFAULT_CONTEXT = 2048
"""Where neither the spec nor the checkpoint says how long a sequence may be."""

CACHE_SHARE = 4
"""Without `cache_tokens` the cache takes at most one part in so many of the free memory."""

GROUPS = Path("/sys/fs/cgroup")


def plan_sizes(
    run: Run, context: int, states: Iterable[State], memory: int | None, *, whole: bool = False
) -> Sizes:
    """`memory`: free bytes, None if unknown; `whole`: sequences come in one step. An encoder's
    tokens have as many pages as a decoder's. Raises UsageError where one sequence of `context`
    tokens has no room."""
    page = run.page_tokens
    states = list(states)
    page_bytes = page * sum(
        4 * prod(axis.length for axis in state.axes)
        for state in states
        if isinstance(state, TokenState | SourceState)
    )
    has_source = any(isinstance(state, SourceState) for state in states)
    step_tokens = max(run.step_tokens, context) if whole else run.step_tokens
    least = -(-context // page)
    if run.cache_tokens is not None:
        pages = run.cache_tokens // page
        if pages < least:
            raise UsageError(
                f"run.cache_tokens is {run.cache_tokens}: too few for one sequence of "
                f"{context} tokens, which takes {least * page}",
                hint=f"set run.context={pages * page} or lower",
            )
    else:
        pages = least * run.max_sequences
        if memory is not None and page_bytes:
            pages = max(least, min(pages, memory // CACHE_SHARE // page_bytes))
    if memory is not None and (pages + 1) * page_bytes > memory:
        raise UsageError(
            f"a cache of {pages * page} tokens takes {(pages + 1) * page_bytes / 1e9:.1f} GB; "
            f"{memory / 1e9:.1f} GB of memory are free",
            hint=f"set run.context to {memory // CACHE_SHARE // page_bytes * page} or lower, "
            "or run.cache_tokens",
        )
    return Sizes(
        pages=pages + 1,
        page_tokens=page,
        max_tokens=step_tokens,
        max_sequences=min(run.max_sequences, step_tokens),
        context=context,
        threads=run.threads,
        cache=run.cache,
        activations=run.activations,
        skip_passes=run.skip_passes,
        source_pages=pages + 1 if has_source else 0,
    )


def total_memory() -> int | None:
    """Bytes of the machine; None where the system does not say."""
    for line in read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def free_memory() -> int | None:
    """Bytes that this process may still take; None where the system does not say."""
    bounds: list[int] = []
    for line in read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            bounds.append(int(line.split()[1]) * 1024)
    limit, used = read(GROUPS / "memory.max"), read(GROUPS / "memory.current")
    if limit.strip().isdigit() and used.strip().isdigit():
        bounds.append(max(0, int(limit) - int(used)))
    return min(bounds, default=None)


def read(path: Path) -> str:
    """A file of the system; empty where there is none."""
    try:
        return path.read_text()
    except OSError:
        return ""
