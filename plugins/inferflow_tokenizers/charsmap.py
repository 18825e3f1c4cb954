"""SentencePiece's `precompiled_charsmap`: a map from texts to texts as a double array.

The bytes: uint32 size of the trie, the trie (uint32 units), then replacements, each ended by a NUL.
A unit has its label in bits 0-7, "has a value" in bit 8, the distance to its children in bits
10-30, times 256 where bit 9 is set; a value has bit 31 (Yata's darts-clone).
"""

import struct
from pathlib import Path

from inferflow_core.errors import ModelFileError

MAX_BYTES = 16 << 20
MAX_KEY = 32
"""Bytes of a text that is replaced; the maps that SentencePiece comes with have 12."""

LABEL = 0x800000FF
"""The bits of a unit that must be a byte for a step by it: no value, and this label."""


class Charsmap:
    """Read as it is asked, since whole it has 200,000 entries. Raises ModelFileError for sizes
    that do not fit."""

    def __init__(self, path: Path, data: bytes) -> None:
        size = int.from_bytes(data[:4], "little")
        if len(data) > MAX_BYTES or size % 4 or not 4 <= size < len(data) - 4:
            raise ModelFileError(
                path,
                f"precompiled_charsmap: a trie of {size} bytes in {len(data)}; at most {MAX_BYTES} "
                "bytes are read",
            )
        self._units = struct.unpack_from(f"<{size // 4}I", data, 4)
        self._texts = data[4 + size :]

    def longest(self, text: bytes, at: int) -> tuple[int, bytes] | None:
        """How many bytes of `text` from a place on are replaced, and by what."""
        units = self._units
        unit = units[0]
        node = (unit >> 10) << ((unit & 0x200) >> 6)
        found = None
        for length, byte in enumerate(text[at : at + MAX_KEY], 1):
            node ^= byte
            if node >= len(units) or (unit := units[node]) & LABEL != byte or not byte:
                break
            node ^= (unit >> 10) << ((unit & 0x200) >> 6)
            if unit & 0x100 and node < len(units):
                found = length, units[node] & 0x7FFFFFFF
        if found is None:
            return None
        length, start = found
        return length, self._texts[start : max(start, self._texts.find(b"\0", start))]
