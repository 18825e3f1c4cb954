"""What the kernels of attention know of a node: words that the program owns, and thread scratch."""

from __future__ import annotations

from enum import IntEnum

PART = 256
"""Keys of a part: the softmax of a part is exact, parts are merged in order."""
QUERIES = 8
"""Query rows of a block, at most: what register tiles take at once."""
CHUNK = 64
"""Query rows of a chunk, at most: what a thread takes through all parts at once."""
SHARED_PARTS = 8192
"""Rows of parts that a step may leave for other threads; above, threads take whole rows."""


class Words(IntEnum):
    """int64 words of one attention. Sizes in numbers, unless they say bytes."""

    HEADS = 0
    KV_HEADS = 1
    WIDTH = 2
    """Of q and keys."""
    PADDED = 3
    """WIDTH, as a multiple of 16."""
    CHANNELS = 4
    """Channels of a key in the cache: WIDTH in tiles, PADDED in rows."""
    V_WIDTH = 5
    V_PADDED = 6
    KEY_BYTES = 7
    """Of a tile of 16 keys."""
    VALUE_BYTES = 8
    KEY_SCALES = 9
    """Bytes from a tile to the scales of its 16 keys; 0: it has none."""
    VALUE_SCALES = 10
    SCALE = 11
    """Bits of a float32, as SOFTCAP."""
    SOFTCAP = 12
    """0: none."""
    WINDOW = 13
    """0: none."""
    CAUSAL = 14
    SINKS = 15
    """Address of float32 [heads]; 0: none."""
    BIAS = 16
    """Address of float32 [heads][BIAS_ROW]: what is added to a score; 0: none."""
    BIAS_ROW = 17
    BIAS_ZERO = 18
    """Column of the distance 0."""
    LENGTHS = 19
    """Byte offsets in the state: the lengths, the block tables, and how wide these are."""
    TABLES = 20
    TABLE_WIDTH = 21
    SCORES = 22
    """Addresses of the micro-kernels for the cache's format, and for float32."""
    VALUES = 23
    WIDE_SCORES = 24
    WIDE_VALUES = 25
    WIDEN = 26
    """Address of the micro-kernel from the format to float32; 0: it is float32."""
    ONE_STATE = 27
    """Whether the keys serve as values too."""
    PART = 28
    """Address of the kernel of a part."""


class Scratch(IntEnum):
    """Byte offsets in a thread's scratch. Numbers are float32, places and addresses int64."""

    SEQUENCE = 0
    """The chunk: its sequence, kv head, and rows."""
    HEAD = 8
    ROWS = 16
    SCORES = 24
    """How the tiles of the running part are read: micro-kernels, and where scales are."""
    VALUES = 32
    KEY_SCALES = 40
    VALUE_SCALES = 48
    KEY_TILES = 128
    """Addresses of the part's tiles."""
    VALUE_TILES = 256
    PLACE = 384
    """[CHUNK]: token * heads + head of a row, the first key that it sees, behind the last one, and
    the address of what is added to the score of key 0."""
    FIRST = PLACE + 8 * CHUNK
    END = FIRST + 8 * CHUNK
    BIAS = END + 8 * CHUNK
    TOP = BIAS + 8 * CHUNK
    """[CHUNK]: the largest score of the part, and the sum of its weights."""
    TOTAL = TOP + 4 * CHUNK
    ALL_TOP = TOTAL + 4 * CHUNK
    """The same of all parts so far."""
    ALL_TOTAL = ALL_TOP + 4 * CHUNK
    WEIGHTS = ALL_TOTAL + 4 * CHUNK
    """[QUERIES][PART]: scores, then weights."""
    QUERY = WEIGHTS + 4 * QUERIES * PART
    """[CHUNK][PADDED]; then the sums of the part and of all parts, [CHUNK][V_PADDED] each; then the
    part's tiles of keys and of values as float32, each followed by scales."""


def scratch_bytes(width: int, v_width: int) -> int:
    """What a thread needs; the widths are padded."""
    rows = CHUNK * (width + 2 * v_width)
    tiles = PART * (width + 1 + v_width + 1)
    return Scratch.QUERY + 4 * (rows + tiles)
