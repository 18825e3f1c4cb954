"""Matrices laid out for the kernels -> float32, in plain numpy: for whoever has no kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inferflow_backends.cpu.layouts import BLOCK, DENSE, LAYOUTS, PLANES, ROWS, Layout, stacked

Array = npt.NDArray[Any]
GROUPS_AT_ONCE = 64


def unpacked(data: Array, format: str, shape: tuple[int, ...]) -> Array:
    """uint8, codes and then scales -> float32 [out, in], or [experts, out, in], rounded as the
    format's reference rounds. Rows that only fill a last group are left out."""
    if len(shape) == 3:
        rows, inner = stacked(shape)
        matrices = unpacked(data, format, (rows, inner)).reshape(shape[0], -1, inner)
        return np.ascontiguousarray(matrices[:, : shape[1]])
    out, inner = shape
    groups = -(-out // ROWS)
    if format in DENSE:
        return _dense(data, format, groups, inner)[:out]
    layout = LAYOUTS[format]
    code_bytes, scale_bytes = layout.group_bytes(inner)
    codes = data[: groups * code_bytes].reshape(groups, code_bytes)
    scales = data[groups * code_bytes :].reshape(groups, scale_bytes)
    values = np.empty((groups, ROWS, inner), np.float32)
    for first in range(0, groups, GROUPS_AT_ONCE):
        some = slice(first, first + GROUPS_AT_ONCE)
        values[some] = _numbers(layout, codes[some], scales[some])
    return values.reshape(groups * ROWS, inner)[:out]


def _dense(data: Array, format: str, groups: int, inner: int) -> Array:
    if format == "bf16":
        words = data.view(np.uint16).astype(np.uint32) << 16
        values = words.view(np.float32)
    else:
        values = data.view(np.float32 if format == "f32" else np.float16).astype(np.float32)
    columns = values.reshape(groups, inner, ROWS).swapaxes(1, 2)
    return np.ascontiguousarray(columns).reshape(groups * ROWS, inner)


def _numbers(layout: Layout, codes: Array, scales: Array) -> Array:
    """[groups, 16, in]"""
    groups = len(codes)
    parts = _codes(layout, codes.reshape(groups, -1, layout.code_bytes))
    with np.errstate(over="ignore", invalid="ignore"):
        scale, least = _scales(layout, scales.reshape(groups, -1, layout.record))
        numbers = scale * (parts.astype(np.int16) - layout.offset).astype(np.float32)
        if least is not None:
            numbers = numbers + least
    # [groups, blocks, parts, columns, rows] -> rows outermost
    return numbers.transpose(0, 4, 1, 2, 3).reshape(groups, ROWS, -1)


def _codes(layout: Layout, blocks: Array) -> Array:
    """[groups, blocks, bytes] -> [groups, blocks, parts, columns, 16]"""
    quads = np.zeros((*blocks.shape[:2], BLOCK // 4, 64), np.uint8)
    place = shift = 0
    for bits in PLANES[layout.bits]:
        each = 8 // bits
        for quad in range(BLOCK // 4):
            home = place + 64 * (quad // each)
            part = blocks[..., home : home + 64] >> np.uint8(bits * (quad % each))
            quads[..., quad, :] |= (part & np.uint8((1 << bits) - 1)) << np.uint8(shift)
        place, shift = place + 64 * bits, shift + bits
    rows = quads.reshape(*blocks.shape[:2], BLOCK // 4, ROWS, 4).swapaxes(-1, -2)
    return rows.reshape(*blocks.shape[:2], layout.parts, layout.columns, ROWS)


def _scales(layout: Layout, records: Array) -> tuple[Array, Array | None]:
    """Scales and minimums, [groups, blocks, parts, 1, 16]"""
    groups, units = records.shape[:2]

    def spread(values: Array) -> Array:
        return values.reshape(groups, -1, layout.parts, 1, ROWS)

    def halves(start: int) -> Array:
        home = np.ascontiguousarray(records[..., start : start + 2 * ROWS])
        return home.view(np.float16).astype(np.float32)

    scale, least = halves(0), halves(2 * ROWS) if layout.minimum else None
    if not layout.two_levels:
        return spread(scale), None if least is None else spread(least)
    start = 2 * ROWS * (2 if layout.minimum else 1)
    small = records[..., start:].reshape(groups, units, -1, layout.small)
    if layout.nibbles:
        low, high = small & np.uint8(15), small >> np.uint8(4)
    else:
        low, high = small[..., :ROWS], small[..., ROWS:]
    factors = low if layout.minimum else low.view(np.int8)
    of_scale = spread(scale[:, :, None] * factors.astype(np.float32))
    if least is None:
        return of_scale, None
    return of_scale, spread(least[:, :, None] * high.astype(np.float32))
