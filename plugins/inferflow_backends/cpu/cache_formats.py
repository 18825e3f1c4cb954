"""How keys and values lie in the cache: pages of tiles of 16 tokens, for each kv head.

A tile of `keys` is [channel][16]; a tile of `rows`, which values are and what serves as both, is
[16][channel, padded to 16]. Behind the numbers of a scaled format there are 16 float32, the scales
of the tile's tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TILE = 16
Layout = Literal["keys", "rows"]


@dataclass(frozen=True)
class CacheFormat:
    """Numbers of keys and values."""

    code: int
    """What `append` calls it."""
    number_bytes: int
    scaled: bool = False
    """Whether each token and head has a scale: the largest magnitude is the largest code."""

    def numbers_bytes(self, layout: Layout, width: int) -> int:
        """Of a tile's numbers; `width` in channels."""
        return TILE * self.number_bytes * (width if layout == "keys" else padded(width))

    def tile_bytes(self, layout: Layout, width: int) -> int:
        """Of a tile of one kv head."""
        return self.numbers_bytes(layout, width) + (4 * TILE if self.scaled else 0)


FORMATS = {
    "f32": CacheFormat(0, 4),
    "f16": CacheFormat(1, 2),
    "bf16": CacheFormat(2, 2),
    "int8": CacheFormat(3, 1, scaled=True),
}
"""Setting `run.cache` -> format."""


def padded(width: int, to: int = 16) -> int:
    """The next multiple."""
    return -(-width // to) * to
