"""The tape: a step as rows of 16 int64 words, each row one op of a compiled kernel.

Word 0 of a row is the address of `int64 op(row, tid, threads, state)`; 0 is a barrier. The other
words are the op's own: addresses of buffers, sizes, and for sizes that only a step knows the index
of a word of `state`. One tape serves every step of a program.
"""

from __future__ import annotations

import struct
from enum import IntEnum

PRODUCTS = 4096 + 128 * 128
"""Bytes of a thread's scratch for tiles and for the products of 128 tokens with 32 rows."""
WORDS = 16
ROW_BYTES = 8 * WORDS


class State(IntEnum):
    """Words of the state: a step's sizes, its columns' addresses, and scratch."""

    TOKENS = 0
    SEQUENCES = 1
    OUT_ROWS = 2
    TABLE_WIDTH = 3
    PAGE_TOKENS = 4
    SCRATCH = 5
    SCRATCH_BYTES = 6
    """Of one thread."""
    IDS = 8
    POSITIONS = 9
    SEQ_OF = 10
    OFFSETS = 11
    LENGTHS = 12
    BLOCK_TABLES = 13
    OUT_ROWS_COLUMN = 14
    TOKEN_TYPES = 15
    SOURCE_LENGTHS = 16
    SOURCE_TABLES = 17
    SOURCE_WIDTH = 18
    """Pages in a row of the source's tables."""


class Form(IntEnum):
    """Words of a packed format: addresses of its kernels, and its numbers."""

    FEW = 0
    UNPACK = 1
    MANY = 2
    FLOATS = 3
    OPEN = 4
    CLOSE = 5
    """Around the products of many tokens, where `CONFIG` is not 0."""
    CONFIG = 6
    OFFSET = 7
    SHIFT = 8
    """4 bytes that unpacking takes from each code."""
    LIMIT = 9
    """Tokens that `FEW` takes."""
    PARTS = 10
    CODES = 11
    """Bytes of a block's codes."""
    SCALES = 12
    """Bytes of the scales of 256 columns."""


TABLE_WIDTHS = {
    State.BLOCK_TABLES: State.TABLE_WIDTH,
    State.SOURCE_TABLES: State.SOURCE_WIDTH,
}
"""Column of block tables -> the word that says how wide it is."""


COLUMNS = {
    "ids": State.IDS,
    "positions": State.POSITIONS,
    "seq_of": State.SEQ_OF,
    "offsets": State.OFFSETS,
    "lengths": State.LENGTHS,
    "block_tables": State.BLOCK_TABLES,
    "out_rows": State.OUT_ROWS_COLUMN,
    "token_types": State.TOKEN_TYPES,
    "source_lengths": State.SOURCE_LENGTHS,
    "source_tables": State.SOURCE_TABLES,
}
SIZES = {"T": State.TOKENS, "S": State.SEQUENCES, "R": State.OUT_ROWS}


def float_word(value: float) -> int:
    """The bits of a float32, as a tape word."""
    return int.from_bytes(struct.pack("<f", value), "little")
