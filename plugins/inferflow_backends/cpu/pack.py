"""Packing: weights in the order that the kernels read them, 16 rows side by side (`layouts`)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from inferflow_backends.cpu.buffers import address, aligned, let_go, placed
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

    @staticmethod
    def of(data: Array, format: str, shape: tuple[int, ...]) -> Packed:
        """uint8, codes and then scales."""
        out, inner = shape
        groups = -(-out // ROWS)
        if format in DENSE:
            kind = np.float32 if format == "f32" else np.uint16
            codes = data.view(kind).reshape(groups, inner, ROWS)
            return Packed(format, shape, codes, data[:0])
        codes = groups * LAYOUTS[format].group_bytes(inner)[0]
        return Packed(format, shape, data[:codes], data[codes:])

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
    format, _ = held(weight.shape, weight.format, packs=True)
    return Packed.of(pack_as(weight, format, threads), format, weight.shape)


def pack_as(weight: Weight, format: str, threads: int) -> Array:
    """A matrix, or those of some experts, in its own format or as f32: uint8, codes and scales."""
    if len(weight.shape) == 3:
        weight = Stacked(weight)
    home = aligned(held(weight.shape, format, packs=True)[1])
    with ThreadPoolExecutor(threads) as pool:
        for each in [pool.submit(task) for task in packing(weight, format, home)]:
            each.result()
    return home


def pack_floats(values: Array) -> Packed:
    """float32 [out, in]"""
    home = aligned(held(values.shape, "f32", packs=False)[1])
    for task in _tasks(lambda: values, values.shape, "f32", home):
        task()
    return Packed.of(home, "f32", values.shape)


def packing(weight: Weight, format: str, home: Array) -> list[Callable[[], None]]:
    """What packs a matrix into zeros, `held` bytes: calls that may run side by side. The weight is
    read when the first of them runs; pages of its file that have been packed are let go."""
    rows = weight.values if format == "f32" else weight.packed
    return _tasks(rows, weight.shape, format, home)


def _tasks(
    read: Callable[[], Array], shape: tuple[int, ...], format: str, home: Array
) -> list[Callable[[], None]]:
    from inferflow_backends.cpu.kernel_cache import kernels_cached_here
    from inferflow_backends.cpu.kernels.options import compiled

    with kernels_cached_here():
        from inferflow_backends.cpu.kernels.pack import pack_dense_groups, pack_groups

    out, inner = shape
    groups = -(-out // ROWS)
    packed = Packed.of(home, format, shape)
    if format in DENSE:
        function = compiled(pack_dense_groups).ctypes
        rest = [DENSE[format], out, inner, address(home)]
    else:
        layout, kernels = packed.layout, format_kernels(format)
        function = compiled(pack_groups).ctypes
        rest = [compiled(kernels.decode).address, kernels.UNIT_BYTES, out]
        rest += [inner // layout.unit, layout.unit // 32, layout.bits, layout.record]
        rest += [address(packed.codes), address(packed.scales)]
    source = _Source(read, out)

    def some(first: int) -> None:
        rows = source.rows()
        plan, room = placed(np.array([address(rows), *rest], np.int64)), aligned(256)
        last = min(groups, first + GROUPS_AT_ONCE)
        function(address(plan), first, last, address(room))
        let_go(rows[ROWS * first : ROWS * last])

    return [partial(some, first) for first in range(0, groups, GROUPS_AT_ONCE)]


class _Source:
    """Rows that are read once, when they are asked for."""

    def __init__(self, read: Callable[[], Array], count: int) -> None:
        self._read, self._count, self._lock = read, count, Lock()
        self._rows: Array | None = None

    def rows(self) -> Array:
        """[rows, ..], each contiguous."""
        with self._lock:
            if self._rows is None:
                self._rows = np.ascontiguousarray(self._read()).reshape(self._count, -1)
            return self._rows
