"""Packing: weights in the order that the kernels read them, 16 rows side by side (`layouts`)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from inferflow_backends.cpu.buffers import address, aligned, placed
from inferflow_backends.cpu.layouts import DENSE, LAYOUTS, ROWS, Layout, held, stacked
from inferflow_core.interfaces import Weight

Array = npt.NDArray[Any]
GROUPS_AT_ONCE = 64


@dataclass(frozen=True)
class Packed:
    """A matrix [out, in] for the kernels of its format: groups of codes, and of scales (empty for
    dense formats)."""

    format: str
    shape: tuple[int, ...]
    codes: Array
    scales: Array

    @property
    def layout(self) -> Layout:
        """Of a packed format."""
        return LAYOUTS[self.format]


@dataclass(frozen=True)
class Stacked:
    """Matrices [experts, out, in] as one, below each other, each with zero rows up to a whole
    group. (Zeros are zero in every format.)"""

    weight: Weight

    @property
    def shape(self) -> tuple[int, ...]:
        return stacked(self.weight.shape)

    @property
    def format(self) -> str:
        return self.weight.format

    def packed(self) -> Array:
        return whole_groups(self.weight.packed().reshape(*self.weight.shape[:2], -1))

    def values(self) -> Array:
        return whole_groups(self.weight.values())


def whole_groups(matrices: Array) -> Array:
    """[n, rows, columns] -> [n * rows, columns] with zero rows up to whole groups of each."""
    missing = -matrices.shape[1] % ROWS
    if missing:
        matrices = np.pad(matrices, [(0, 0), (0, missing), (0, 0)])
    return matrices.reshape(-1, matrices.shape[2])


def format_kernels(format: str) -> Any:
    """The module of a packed format's kernels."""
    from inferflow_backends.cpu.kernel_cache import kernels_cached_here

    with kernels_cached_here():
        return import_module(f"inferflow_backends.cpu.kernels.formats.{format}")


def pack(weight: Weight, threads: int = 1) -> Packed:
    """A matrix in its own format where there are kernels for it, else as float32."""
    shape = weight.shape
    format, _ = held(shape, weight.format, packs=True)
    if format == "f32":
        return pack_dense(weight.values(), "f32")
    if format in DENSE:
        halves = weight.packed().view(np.uint16).reshape(shape)
        return pack_dense(halves, format)
    return _pack_blocks(weight, format, threads)


def pack_dense(values: Array, format: str) -> Packed:
    """[out / 16][in][16], zero rows at the end; numbers of 2 bytes are not looked at."""
    out, inner = values.shape
    groups = -(-out // ROWS)
    kind = np.float32 if format == "f32" else np.uint16
    home = aligned(groups * ROWS * inner * DENSE[format]).view(kind).reshape(groups, inner, ROWS)
    full = out // ROWS
    home[:full] = values[: full * ROWS].reshape(full, ROWS, inner).transpose(0, 2, 1)
    if full < groups:
        home[full, :, : out - full * ROWS] = values[full * ROWS :].T
    return Packed(format, (out, inner), home, np.empty(0, np.float16))


def _pack_blocks(weight: Weight, format: str, threads: int) -> Packed:
    from inferflow_backends.cpu.kernels.options import compiled
    from inferflow_backends.cpu.kernels.pack import pack_groups

    layout, kernels = LAYOUTS[format], format_kernels(format)
    out, inner = weight.shape
    groups, units = -(-out // ROWS), inner // layout.unit
    code_bytes, scale_bytes = layout.group_bytes(inner)
    codes, scales = aligned(groups * code_bytes), aligned(groups * scale_bytes)
    source = np.ascontiguousarray(weight.packed())
    decode = compiled(kernels.decode)
    numbers = [decode.address, address(source), kernels.UNIT_BYTES, out, units, layout.unit // 32]
    numbers += [layout.bits, layout.record, address(codes), address(scales)]
    plan = placed(np.array(numbers, np.int64))
    function = compiled(pack_groups).ctypes

    def some(first: int) -> None:
        room = aligned(256)
        function(address(plan), first, min(groups, first + GROUPS_AT_ONCE), address(room))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(some, range(0, groups, GROUPS_AT_ONCE)))
    return Packed(format, weight.shape, codes, scales)
