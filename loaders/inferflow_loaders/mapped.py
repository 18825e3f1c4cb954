"""A file as memory, and tensors as byte ranges of it that have been checked."""

import mmap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inferflow_core.errors import ModelFileError
from inferflow_core.interfaces import TensorInfo

Array = np.ndarray[Any, np.dtype[Any]]

ITEM_BYTES = {
    **{"f64": 8, "f32": 4, "f16": 2, "bf16": 2},
    **{"i64": 8, "i32": 4, "i16": 2, "i8": 1, "u8": 1, "bool": 1},
}
"""Bytes of a number in the formats that are one number each."""

MAX_AXES = 8
MAX_BYTES = 2**62
"""Above this, numpy's own size arithmetic could overflow."""


class MappedFile:
    """A read-only view of a regular file. Raises ModelFileError if it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if file_size(path) == 0:
            raise ModelFileError(path, "is empty")
        self._bytes: mmap.mmap | None = self._map()
        self._data = np.frombuffer(self._bytes, np.uint8)
        self.size = len(self._bytes)

    def _map(self) -> mmap.mmap:
        try:
            with self.path.open("rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as cause:
            raise ModelFileError(self.path, f"cannot be read: {cause}") from cause

    @property
    def bytes(self) -> mmap.mmap:
        """The whole file, for `struct.unpack_from` and slices. Raises ModelFileError if closed."""
        if self._bytes is None:
            raise ModelFileError(self.path, "is closed")
        return self._bytes

    def read(self, start: int, size: int) -> Array:
        """uint8 [size], no copy. Raises ModelFileError outside the file or if it is closed."""
        if self._bytes is None:
            raise ModelFileError(self.path, "is closed")
        if start < 0 or size < 0 or start + size > self.size:
            raise ModelFileError(self.path, f"has no bytes {start} to {start + size}")
        return self._data[start : start + size]

    def close(self) -> None:
        """Lets go of the file; it stays mapped while an array that was read from it lives."""
        self._bytes = None
        self._data = np.zeros(0, np.uint8)


def file_size(path: Path) -> int:
    """Bytes of a regular file; anything else (a pipe would block for ever) is refused."""
    try:
        if path.exists() and not path.is_file():
            raise ModelFileError(path, "is not a regular file")
        return path.stat().st_size
    except (OSError, ValueError) as cause:
        raise ModelFileError(path, f"cannot be read: {cause}") from cause


def begins_with(path: Path, magics: Iterable[bytes]) -> bool:
    """Whether a regular file begins with one of some byte strings; False if unreadable."""
    magics = tuple(magics)
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(max(map(len, magics))).startswith(magics)
    except (OSError, ValueError):
        return False


@dataclass(frozen=True)
class Span:
    """A tensor and where its bytes begin in the file."""

    info: TensorInfo
    start: int

    @property
    def end(self) -> int:
        return self.start + self.info.nbytes


def tensor(
    path: Path, name: str, shape: tuple[int, ...], format: str, block: int = 1, block_bytes: int = 0
) -> TensorInfo:
    """A tensor whose size fits in memory arithmetic and whose rows are whole blocks.

    Raises ModelFileError.
    """
    if len(shape) > MAX_AXES or any(size < 0 for size in shape):
        raise ModelFileError(path, f"tensor {short(name)} has an impossible shape {short(shape)}")
    room = 1
    for size in shape:
        room *= max(size, 1)
    # An axis of size 0 must not hide others that numpy cannot multiply.
    if room * 8 > MAX_BYTES:
        raise ModelFileError(path, f"tensor {short(name)} of shape {short(shape)} is too large")
    count = 0 if 0 in shape else room
    if block > 1 and (not shape or shape[-1] % block):
        raise ModelFileError(
            path, f"tensor {short(name)} of shape {short(shape)}: {format} needs rows of whole "
            f"blocks of {block} numbers"
        )  # fmt: skip
    return TensorInfo(name, shape, format, count // block * (block_bytes or ITEM_BYTES[format]))


def check_apart(path: Path, spans: Iterable[Span]) -> None:
    """No two tensors share a byte. Raises ModelFileError that names both."""
    before: Span | None = None
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if before is not None and span.start < before.end:
            raise ModelFileError(
                path, f"tensors {short(before.info.name)} and {short(span.info.name)} overlap"
            )
        before = span


def infos(spans: Mapping[str, Span]) -> dict[str, TensorInfo]:
    return {name: span.info for name, span in spans.items()}


def short(value: object) -> str:
    """A value from a file, for a message: at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
