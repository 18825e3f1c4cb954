"""How keys and values lie in the cache: pages of tiles of 16 tokens, for each kv head.

A tile of `keys` is [channel][16]; a tile of `rows`, which values are and what serves as both, is
[16][channel, padded to 16]. Behind the numbers of a scaled format there are 16 float32, the scales
of the tile's tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
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


def plain_pages(pages: Array, form: CacheFormat, layout: Layout, width: int) -> Array:
    """uint8 [page][kv head][tile][bytes] as the float32 [page][slot][kv head][channel] of numpy
    references: a copy, to look at."""
    count = form.numbers_bytes(layout, width)
    raw = np.ascontiguousarray(pages[..., :count])
    if form is FORMATS["bf16"]:
        numbers = (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    else:
        kind = {4: np.float32, 2: np.float16, 1: np.int8}[form.number_bytes]
        numbers = raw.view(kind).astype(np.float32)
    if layout == "keys":
        tiles = numbers.reshape(*pages.shape[:3], width, TILE).swapaxes(3, 4)
    else:
        tiles = numbers.reshape(*pages.shape[:3], TILE, -1)[..., :width]
    if form.scaled:
        tiles = tiles * np.ascontiguousarray(pages[..., count:]).view(np.float32)[..., None]
    return tiles.transpose(0, 2, 3, 1, 4).reshape(len(pages), -1, pages.shape[1], width)
