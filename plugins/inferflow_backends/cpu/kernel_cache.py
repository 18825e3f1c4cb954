"""Where compiled kernels are kept: a folder of their own, named after the sources they come from.

numba's cache looks at the file of a kernel only; a change of the SIMD layer would leave stale
machine code. The folder's name holds a hash of every source, so a changed source compiles anew.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from numba import __version__ as numba_version
from numba import config as numba_config

log = logging.getLogger(__name__)


def folder() -> Path:
    """The first of INFERFLOW_KERNEL_CACHE, the user's cache and the temporary folder that can be
    written."""
    return _writable(tuple(candidates()))


@cache
def _writable(paths: tuple[Path, ...]) -> Path:
    for path in paths:
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                return path
        except OSError:
            continue
    raise OSError("no folder for compiled kernels can be written; set INFERFLOW_KERNEL_CACHE")


def candidates() -> list[Path]:
    """The folders of these sources' kernels, the one that is taken first, first."""
    return [base / "inferflow" / f"kernels-{_digest()}" for base in _bases()]


@cache
def _digest() -> str:
    """Of the sources, as they are when a process first asks."""
    digest = hashlib.sha256(numba_version.encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _bases() -> list[Path]:
    named = os.environ.get("INFERFLOW_KERNEL_CACHE")
    if sys.platform == "win32":
        user = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        user = "~/Library/Caches"
    else:
        user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    paths = [named, user, tempfile.gettempdir()]
    return [Path(path).expanduser() for path in paths if path]


@contextmanager
def kernels_cached_here() -> Generator[None]:
    """Kernels that are decorated inside keep their machine code in `folder()`."""
    config: Any = numba_config
    before = config.CACHE_DIR
    cache = folder()
    if not any(cache.iterdir()):
        log.warning(
            "compiling the cpu backend's kernels for this processor, once: some ten seconds"
        )
    config.CACHE_DIR = str(cache)
    try:
        yield
    finally:
        config.CACHE_DIR = before
