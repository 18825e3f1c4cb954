"""Packing: weights in the order that the kernels read them, 16 rows side by side.

A quad is 16 rows x 4 columns = 64 bytes, byte 4 * row + column, as unsigned codes: what one 4-way
dot product takes. A block is 16 rows x 32 columns, 8 quads, and 16 float16 scales.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferflow_backends.cpu.buffers import aligned, placed
from inferflow_core.interfaces import Weight

Array = npt.NDArray[Any]
ROWS = 16


@dataclass(frozen=True)
class Packed:
    """A matrix for the kernels of its format. `scales` is empty for f32."""

    format: str
    shape: tuple[int, ...]
    codes: Array
    scales: Array


def pack(weight: Weight) -> Packed:
    """A matrix [out, in]: in its own format where there are kernels for it, else as float32."""
    packer = PACKERS.get(weight.format)
    if packer is None or weight.shape[1] % 32:
        return pack_f32(weight.values())
    codes, scales = packer(weight.packed().reshape(weight.shape[0], -1, BLOCK_BYTES[weight.format]))
    return Packed(weight.format, weight.shape, codes, scales)


def packed_bytes(shape: tuple[int, ...], format: str, *, packs: bool) -> tuple[str, int]:
    """The format in which `pack` holds a matrix (`packs` False: `pack_f32`), and its bytes."""
    out, inner = shape
    groups = -(-out // ROWS)
    if packs and format in QUAD_BYTES and inner % 32 == 0:
        return format, groups * (inner // 32) * QUAD_BYTES[format]
    return "f32", groups * ROWS * inner * 4


def pack_f32(values: Array) -> Packed:
    """[out / 16][in][16], zero rows at the end."""
    out, inner = values.shape
    groups = -(-out // ROWS)
    home = aligned(groups * ROWS * inner * 4).view(np.float32).reshape(groups, inner, ROWS)
    full = out // ROWS
    home[:full] = values[: full * ROWS].reshape(full, ROWS, inner).transpose(0, 2, 1)
    if full < groups:
        home[full, :, : out - full * ROWS] = values[full * ROWS :].T
    return Packed("f32", (out, inner), home, np.empty(0, np.float16))


def _pack_q4_0(blocks: Array) -> tuple[Array, Array]:
    """GGUF Q4_0: half d, 16 bytes; byte j holds column j in its low nibble, j + 16 in its high."""
    nibbles = blocks[:, :, 2:]
    codes = np.concatenate([nibbles & 15, nibbles >> 4], axis=2)
    quads = _quads(codes)
    return placed(quads[:, :, 0::2] | (quads[:, :, 1::2] << 4)), _scales(blocks)


def _pack_q4_1(blocks: Array) -> tuple[Array, Array]:
    """GGUF Q4_1: half d, half minimum, 16 bytes as in Q4_0. Scales are [.., 2, 16]."""
    codes, _ = _pack_q4_0(blocks[:, :, 2:])
    both = np.stack([_scales(blocks), _scales(blocks[:, :, 2:])], axis=2)
    return codes, placed(both)


def _pack_q8_0(blocks: Array) -> tuple[Array, Array]:
    """GGUF Q8_0: half d, 32 int8; stored with 128 added."""
    return placed(_quads(blocks[:, :, 2:] ^ 0x80)), _scales(blocks)


def _quads(codes: Array) -> Array:
    """uint8 [out, blocks, 32] -> [out / 16, blocks, 8 quads, 64]."""
    padded = _pad(codes)
    groups, blocks = len(padded) // ROWS, padded.shape[1]
    split = padded.reshape(groups, ROWS, blocks, 8, 4).transpose(0, 2, 3, 1, 4)
    return split.reshape(groups, blocks, 8, 64)


def _scales(blocks: Array) -> Array:
    """The halves at the blocks' begin -> [out / 16, blocks, 16]."""
    halves = _pad(np.ascontiguousarray(blocks[:, :, :2]).view(np.float16)[:, :, 0])
    return placed(halves.reshape(-1, ROWS, halves.shape[1]).transpose(0, 2, 1))


def _pad(rows: Array) -> Array:
    missing = -len(rows) % ROWS
    return np.pad(rows, [(0, missing)] + [(0, 0)] * (rows.ndim - 1)) if missing else rows


PACKERS: dict[str, Callable[[Array], tuple[Array, Array]]] = {
    "q4_0": _pack_q4_0,
    "q4_1": _pack_q4_1,
    "q8_0": _pack_q8_0,
}
BLOCK_BYTES = {"q4_0": 18, "q4_1": 20, "q8_0": 34}
QUAD_BYTES = {format: ROWS * size for format, size in BLOCK_BYTES.items()}
"""Of a block as it is packed: 16 rows x 32 columns, codes and scales."""
