"""How each format's weights lie in memory for the kernels.

Rows stand in groups of 16, the lanes of a vector. A quad is 16 rows x 4 columns = 64 bytes, byte
4 * row + column, as unsigned codes: what one 4-way dot product takes. A block of 32 columns has 8
quads; codes of less than 8 bits are cut into planes of 4, 2 and 1 bits (`PLANES`), so that every
width is read in whole vectors. Scales are float16, or float16 of 256 columns times int8 of a block.
"""

from __future__ import annotations

from dataclasses import dataclass

LAYOUT = "cpu.1"
"""What files of `inferflow convert` call all this; whoever changes it counts up."""

ROWS = 16
"""Rows of a group."""
BLOCK = 32
"""Columns of a block."""
SUPER = 256
"""Columns of the scales of two levels."""
PLANES = {8: (8,), 7: (4, 2, 1), 6: (4, 2), 5: (4, 1), 4: (4,), 3: (2, 1), 2: (2,)}
"""Bits of a code -> bits of its parts, the lowest first."""


@dataclass(frozen=True)
class Layout:
    """Numbers are scale * (code - offset), or scale * code + minimum."""

    bits: int
    offset: int = 0
    minimum: bool = False
    columns: int = BLOCK
    """That share a scale: 32, or 16."""
    two_levels: bool = False
    """A scale is a float16 `d` of 256 columns times an int8; a minimum likewise."""
    nibbles: bool = False
    """Of two levels: scale and minimum are the low and the high half of one byte."""

    @property
    def code_bytes(self) -> int:
        """Of a block of 16 rows."""
        return 64 * self.bits

    @property
    def parts(self) -> int:
        """Scales of a block."""
        return BLOCK // self.columns

    @property
    def unit(self) -> int:
        """Columns of a record of scales; rows are made of whole ones."""
        return SUPER if self.two_levels else BLOCK

    @property
    def small(self) -> int:
        """Of two levels: bytes of the integers of 16 rows and a scale's columns."""
        return ROWS * (1 if self.nibbles or not self.minimum else 2)

    @property
    def record(self) -> int:
        """Bytes of the scales of 16 rows and `unit` columns."""
        halves = 2 * ROWS * (2 if self.minimum else 1)
        return halves + (SUPER // self.columns * self.small if self.two_levels else 0)

    def group_bytes(self, columns: int) -> tuple[int, int]:
        """Codes and scales of 16 whole rows."""
        return columns // BLOCK * self.code_bytes, columns // self.unit * self.record


LAYOUTS = {
    "q2_k": Layout(2, minimum=True, columns=16, two_levels=True, nibbles=True),
    "q3_k": Layout(3, offset=4, columns=16, two_levels=True),
    "q4_0": Layout(4, offset=8),
    "q4_1": Layout(4, minimum=True),
    "q4_k": Layout(4, minimum=True, two_levels=True),
    "q5_0": Layout(5, offset=16),
    "q5_1": Layout(5, minimum=True),
    "q5_k": Layout(5, minimum=True, two_levels=True),
    "q6_k": Layout(6, offset=32, columns=16, two_levels=True),
    "q8_0": Layout(8, offset=128),
}
"""Format -> its layout. The kernels of a format are the file `kernels/formats/FORMAT.py`."""

STATS = 32
"""Bytes of what is known of 32 quantized numbers of a token, one after the other: the factor `d`
(float32), the sum of the codes (int32), of their halves (2 int32), d times each of these (float32).
"""
FACTOR, SUM, HALVES, SCALED_SUM, SCALED_HALVES = 0, 4, 8, 16, 20

TILE = 16
"""Tokens of a tile of AMX. A last tile reads beyond its tokens, so that room is needed there."""
AT_ONCE = 16
"""Blocks that are unpacked for many tokens at once: with the tokens' own they fit the first cache,
and a record of scales is never cut."""
PANELS = 2 * AT_ONCE * (8 * 64 + 2 * 2 * 64)
"""Bytes of two groups' blocks so unpacked, with two float32 scales and minimums of a row each."""

DENSE = {"f32": 4, "f16": 2, "bf16": 2}
"""Formats that stay as they are, [out / 16][in][16] -> bytes of a number."""


def stacked(shape: tuple[int, ...]) -> tuple[int, int]:
    """What holds matrices [experts, out, in] below each other, each of whole groups: rows, in."""
    experts, out, inner = shape
    return experts * -(-out // ROWS) * ROWS, inner


def held(shape: tuple[int, ...], format: str, *, packs: bool) -> tuple[str, int]:
    """The format in which a matrix [out, in] is held, and its bytes. `packs` False: all is f32."""
    out, inner = shape
    groups = -(-out // ROWS)
    layout = LAYOUTS.get(format)
    if packs and layout is not None and inner % layout.unit == 0:
        return format, groups * sum(layout.group_bytes(inner))
    if packs and format in DENSE:
        return format, groups * ROWS * inner * DENSE[format]
    return "f32", groups * ROWS * inner * 4
