"""Work off the event loop, bounded in how much of it may wait."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from inferflow_core.errors import OverloadedError

Result = TypeVar("Result")


class Threads:
    """Used in the event loop's thread only. `what` waits, where too much of it does."""

    def __init__(self, name: str, *, count: int, queue: int, what: str) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._queue = queue
        self._what = what
        self._waiting = 0

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Raises OverloadedError, and what the work raises."""
        if self._waiting >= self._queue:
            raise OverloadedError(f"too many {self._what}")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, _contained, work, *arguments)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _contained(work: Callable[..., Result], *arguments: Any) -> Result:
    """A panic of a native library is a BaseException; it must not stop the event loop."""
    try:
        return work(*arguments)
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
