"""The user's cache folder, and a lock in it that two processes can wait on."""

import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def cache_dir() -> Path:
    """`INFERFLOW_CACHE`, else the platform's cache folder of the user."""
    given = os.environ.get("INFERFLOW_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(base) / "inferflow" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "inferflow"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferflow"


@contextmanager
def lock(path: Path, *, taken: Callable[[], None]) -> Generator[None]:
    """Holds an exclusive lock on `path` (made if absent); waits while somebody else holds it.

    `taken` is called once if somebody does, before the wait; it may raise instead. The system drops
    the lock with its process, so a killed pull never leaves a stale one. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if not _try_lock(file):
            taken()
            while not _try_lock(file):
                time.sleep(0.1)
        try:
            yield
        finally:
            _unlock(file)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
