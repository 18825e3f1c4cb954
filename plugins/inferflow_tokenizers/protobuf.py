"""As much of Protocol Buffers' wire format as SentencePiece's files need.

A message is a row of fields; each is a varint (number * 8 + kind), then its value: a varint (0),
8 bytes (1), a varint of length and that many bytes (2), or 4 bytes (5).
"""

import struct
from collections.abc import Iterator

Value = int | bytes

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
MAX_VARINT = 10
"""Bytes of a 64-bit number."""


class MalformedMessage(ValueError):
    """The bytes are no message; the text says where."""


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of each field, in order. Raises MalformedMessage."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = _varint(data, at)
        elif kind in (FIXED64, LENGTH, FIXED32):
            length = {FIXED64: 8, FIXED32: 4}.get(kind)
            if length is None:
                length, at = _varint(data, at)
            if length > len(data) - at:
                raise MalformedMessage(f"field {number} claims {length} bytes at {at}")
            value = data[at : at + length]
            at += length
        else:
            raise MalformedMessage(f"field {number} is of kind {kind} at {at}")
        yield number, value


def message(data: bytes) -> dict[int, Value]:
    """The fields of a message by number; of several, the last."""
    return dict(fields(data))


def text(value: Value | None, default: str = "") -> str:
    """Raises MalformedMessage for what is not UTF-8 text."""
    if value is None:
        return default
    try:
        return raw(value).decode()
    except UnicodeDecodeError as cause:
        raise MalformedMessage(f"not UTF-8: {cause}") from None


def raw(value: Value | None) -> bytes:
    if value is None:
        return b""
    if isinstance(value, int):
        raise MalformedMessage(f"found the number {value}, expected bytes")
    return value


def number(value: Value | None, default: int) -> int:
    """An int32 or bool. Negative ones are written as 64 bits."""
    if value is None:
        return default
    if isinstance(value, bytes):
        raise MalformedMessage("found bytes, expected a number")
    return value - (1 << 64) if value >> 63 else value


def float32(value: Value | None) -> float:
    if value is None:
        return 0.0
    if isinstance(value, int) or len(value) != 4:
        raise MalformedMessage("expected 4 bytes of a float")
    return struct.unpack("<f", value)[0]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place after it."""
    value = 0
    for count in range(MAX_VARINT):
        if at + count >= len(data):
            raise MalformedMessage(f"ends inside a number at {at}")
        byte = data[at + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, at + count + 1
    raise MalformedMessage(f"a number of more than {MAX_VARINT} bytes at {at}")
