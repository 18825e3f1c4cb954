"""The header of a GGUF file: typed keys and values, every length checked before it is used.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from gguf.constants import GGUFValueType as Type

from inferflow_core.errors import ModelFileError
from inferflow_loaders.mapped import MappedFile, short

Order = Literal["<", ">"]
"""Little- or big-endian, as `struct` and numpy write it."""

MAX_ITEMS = 2**23
"""Items of all arrays together; the largest vocabularies need an eighth of it."""
MAX_TEXT_BYTES = 2**24
MAX_DEPTH = 4
"""Arrays within arrays."""

NUMBERS = {
    **{Type.UINT8: "u1", Type.INT8: "i1", Type.UINT16: "u2", Type.INT16: "i2", Type.BOOL: "?"},
    **{Type.UINT32: "u4", Type.INT32: "i4", Type.FLOAT32: "f4"},
    **{Type.UINT64: "u8", Type.INT64: "i8", Type.FLOAT64: "f8"},
}


class Cursor:
    """Reads a header forward. Raises ModelFileError instead of going beyond the end."""

    def __init__(self, file: MappedFile, start: int, order: Order) -> None:
        self.file = file
        self.place = start
        self.order: Order = order
        self._items = MAX_ITEMS

    def fail(self, message: str) -> ModelFileError:
        return ModelFileError(self.file.path, f"{message} (at byte {self.place})")

    def skip(self, size: int) -> int:
        """Moves over bytes; the place where they begin."""
        start = self.place
        if size > self.file.size - start:
            raise self.fail(f"ends {size - self.file.size + start} bytes too early")
        self.place = start + size
        return start

    def number(self, kind: Type) -> Any:
        dtype = np.dtype(NUMBERS[kind]).newbyteorder(self.order)
        start = self.skip(dtype.itemsize)
        return np.frombuffer(self.file.bytes, dtype, 1, start)[0].item()

    def size(self) -> int:
        (value,) = struct.unpack_from(self.order + "Q", self.file.bytes, self.skip(8))
        return value

    def text(self, errors: str = "strict") -> str:
        size = self.size()
        if size > MAX_TEXT_BYTES:
            raise self.fail(f"a text of {size} bytes; {MAX_TEXT_BYTES} are allowed")
        start = self.skip(size)
        try:
            return self.file.bytes[start : start + size].decode("utf-8", errors)
        except UnicodeDecodeError as cause:
            raise self.fail("a name is not UTF-8") from cause

    def kind(self) -> Type:
        value = self.number(Type.UINT32)
        try:
            return Type(value)
        except ValueError as cause:
            raise self.fail(f"value of unknown type {value}") from cause

    def value(self, kind: Type) -> Any:
        """A number, a text, or an array as a `Stretch` that is decoded when it is asked for."""
        if kind is Type.STRING:
            return self.text("replace")
        if kind is not Type.ARRAY:
            return self.number(kind)
        start = self.place
        self._skip_array(0)
        return Stretch(start)

    def _skip_array(self, depth: int) -> None:
        kind, count = self.kind(), self.size()
        if count > self._items:
            raise self.fail(f"array of {count} items: {MAX_ITEMS} in all are allowed")
        self._items -= count
        if kind in NUMBERS:
            self.skip(count * np.dtype(NUMBERS[kind]).itemsize)
            return
        if kind is Type.ARRAY and depth == MAX_DEPTH:
            raise self.fail(f"arrays are nested more than {MAX_DEPTH} deep")
        for _ in range(count):
            if kind is Type.STRING:
                self.skip(self.size())
            else:
                self._skip_array(depth + 1)

    def array(self) -> list[Any]:
        """The values of an array that `value` has walked over before."""
        kind, count = self.kind(), self.size()
        if kind in NUMBERS:
            dtype = np.dtype(NUMBERS[kind]).newbyteorder(self.order)
            start = self.skip(count * dtype.itemsize)
            return np.frombuffer(self.file.bytes, dtype, count, start).tolist()
        if kind is Type.STRING:
            return [self.text("replace") for _ in range(count)]
        return [self.array() for _ in range(count)]


class Stretch(int):
    """Where an array begins in the file."""


class Metadata(Mapping[str, Any]):
    """The keys of a GGUF as in the file. Arrays become lists when first asked for."""

    def __init__(self, cursor: Cursor, count: int) -> None:
        self._file = cursor.file
        self._order: Order = cursor.order
        self._values: dict[str, Any] = {}
        # A pair takes 13 bytes at least: two lengths and a value of one byte.
        if count > (cursor.file.size - cursor.place) // 13:
            raise cursor.fail(f"says it has {count} keys: more than fit in the file")
        for _ in range(count):
            key = cursor.text()
            if key in self._values:
                raise cursor.fail(f"key {short(key)} stands twice")
            self._values[key] = cursor.value(cursor.kind())

    def __getitem__(self, key: str) -> Any:
        value = self._values[key]
        if isinstance(value, Stretch):
            value = self._values[key] = Cursor(self._file, value, self._order).array()
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def length(self, key: str) -> int:
        """Items of an array, without decoding it; 0 if the key is missing or no array."""
        value = self._values.get(key)
        if isinstance(value, Stretch):
            cursor = Cursor(self._file, value, self._order)
            cursor.kind()
            return cursor.size()
        return len(value) if isinstance(value, list) else 0
