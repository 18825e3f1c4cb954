"""The ops in numpy, float32: the reference for every other backend.

Each row's bits depend on that row alone (the numeric law): elementwise ops and reductions over the
last axis do so by nature; `linear` and `attention` take care of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@cache
def tile_rows(inner: int, out: int) -> int:
    """How many rows one matrix product may take so that a row's bits do not depend on its place.

    BLAS gives a row other bits alone than among others, and some kernels other bits at another
    place of the same tile (OpenBLAS for Haswell: rows 6, 7 ... of 12). So products have a fixed
    number of rows, and this probe, equal rows in a tile, finds a number that treats all alike.
    """
    numbers = np.random.default_rng(0).standard_normal(8191).astype(np.float32)
    weight = np.resize(numbers, (out, inner))
    for rows in (16, 8, 4, 2):
        y = np.matmul(np.tile(np.resize(numbers, inner), (rows, 1)), weight.T)
        if np.array_equal(y, np.broadcast_to(y[0], y.shape)):
            return rows
    return 1


def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """x [..., in] @ weight [out, in].T + bias."""
    y = _tiled(x.reshape(-1, x.shape[-1]), weight)
    if bias is not None:
        y = y + bias
    return y.reshape(*x.shape[:-1], len(weight))


def _tiled(x: Array, weight: Array) -> Array:
    """x [..., rows, in] @ weight [..., out, in].T, in zero-padded tiles of equal size."""
    *lead, rows, inner = x.shape
    tile = tile_rows(inner, weight.shape[-2])
    tiles = -(-rows // tile)
    padded = np.zeros((*lead, tiles * tile, inner), np.float32)
    padded[..., :rows, :] = x
    y = np.matmul(
        padded.reshape(*lead, tiles, tile, inner), weight.swapaxes(-1, -2)[..., None, :, :]
    )
    return y.reshape(*lead, tiles * tile, weight.shape[-2])[..., :rows, :]


def expert_linear(x: Array, weight: Array, index: Array, bias: Array | None) -> Array:
    """x [t, in] or [t, k, in], weight [experts, out, in], index [t, k] -> [t, k, out]."""
    tokens, k = index.shape
    spread = x if x.ndim == 3 else np.repeat(x[:, None], k, axis=1)
    y = np.empty((tokens, k, weight.shape[1]), np.float32)
    for expert in np.unique(index):
        where = index == expert
        y[where] = linear(spread[where], weight[expert], None if bias is None else bias[expert])
    return y


def combine(x: Array, weight: Array) -> Array:
    """x [t, k, n], weight [t, k] -> [t, n], summed in the order of k."""
    y = x[:, 0] * weight[:, 0, None]
    for rank in range(1, x.shape[1]):
        y = y + x[:, rank] * weight[:, rank, None]
    return y


def head_linear(x: Array, weight: Array, *, start: int, stop: int, transpose: bool) -> Array:
    """x [t, heads, in], weight [heads * rows, width] -> [t, heads, out]."""
    heads = weight.reshape(x.shape[1], -1, weight.shape[1])[:, start:stop]
    maps = heads.transpose(0, 2, 1) if transpose else heads
    return np.stack([linear(x[:, h], m, None) for h, m in enumerate(maps)], axis=1)


def pool(x: Array, offsets: Array, *, how: str) -> Array:
    """x [T, n] -> [S, n]; means are summed row after row."""
    if how == "first":
        return x[offsets[:-1]]
    if how == "last":
        return x[offsets[1:] - 1]
    sums = np.add.reduceat(x, offsets[:-1], axis=0)
    return sums / np.diff(offsets).astype(np.float32)[:, None]


def append(state: Array, x: Array, positions: Array, seq_of: Array, block_tables: Array) -> None:
    """Writes x [T, *row] into the pages [pages, page_tokens, *row]."""
    page_tokens = state.shape[1]
    pages = block_tables[seq_of, positions // page_tokens]
    state[pages, positions % page_tokens] = x


TOGETHER = 64
"""Queries whose scores are held at once."""


@dataclass(frozen=True)
class Mask:
    """Which keys a query at `position` of a sequence of `length` may see."""

    causal: bool
    window: int | None

    def span(self, position: int, length: int) -> tuple[int, int]:
        if self.causal:
            first = 0 if self.window is None else max(0, position + 1 - self.window)
            return first, position + 1
        if self.window is None:
            return 0, length
        return max(0, position - self.window // 2), min(length, position + self.window // 2 + 1)


def attention(
    q: Array,
    keys: Array,
    values: Array,
    positions: Array,
    offsets: Array,
    lengths: Array,
    block_tables: Array,
    sinks: Array | None,
    *,
    scale: float,
    causal: bool,
    window: int | None,
    softcap: float | None,
    bias: Callable[[Array, Array, Array], Array] | None,
) -> Array:
    """One query row at a time over exactly its own keys, or many where all see the same keys; see
    `Ops.attention`."""
    heads = q.shape[1]
    page_tokens, kv_heads = keys.shape[1], keys.shape[2]
    mask = Mask(causal, window)
    out = np.empty((*q.shape[:2], values.shape[-1]), np.float32)
    head = np.arange(heads, dtype=np.int32)[:, None]
    for s, length in enumerate(lengths):
        pages = block_tables[s, : -(-length // page_tokens)]
        k = keys[pages].reshape(-1, *keys.shape[2:])
        v = values[pages].reshape(-1, *values.shape[2:])
        if not causal and window is None and bias is None:
            for first in range(offsets[s], offsets[s + 1], TOGETHER):
                some = slice(first, min(first + TOGETHER, offsets[s + 1]))
                out[some] = _over_all(q[some], k[:length], v[:length], sinks, scale, softcap)
            continue
        for row in range(offsets[s], offsets[s + 1]):
            position = int(positions[row])
            first, last = mask.span(position, int(length))
            grouped = q[row].reshape(kv_heads, heads // kv_heads, -1)
            scores = np.matmul(grouped, k[first:last].transpose(1, 2, 0)) * np.float32(scale)
            scores = scores.reshape(heads, -1)
            if softcap is not None:
                scores = np.tanh(scores / np.float32(softcap)) * np.float32(softcap)
            if bias is not None:
                here = np.full((1, 1), position, np.int32)
                scores = scores + bias(head, here, np.arange(first, last, dtype=np.int32)[None])
            weights = _softmax(scores, sinks).reshape(kv_heads, heads // kv_heads, -1)
            out[row] = np.matmul(weights, v[first:last].transpose(1, 0, 2)).reshape(heads, -1)
    return out


def _over_all(
    q: Array, k: Array, v: Array, sinks: Array | None, scale: float, softcap: float | None
) -> Array:
    """q [rows, heads, width] over the same keys, in the tiles of `linear`, so that rows do not
    depend on each other."""
    rows, heads, width = q.shape
    keys, kv_heads, _ = k.shape
    grouped = q.reshape(rows, kv_heads, -1, width).transpose(1, 0, 2, 3)
    each_key = np.ascontiguousarray(k.transpose(1, 0, 2))
    scores = _tiled(grouped.reshape(kv_heads, -1, width), each_key) * np.float32(scale)
    if softcap is not None:
        scores = np.tanh(scores / np.float32(softcap)) * np.float32(softcap)
    by_head = scores.reshape(kv_heads, rows, -1, keys).swapaxes(1, 2).reshape(heads, rows, keys)
    weights = _softmax(by_head, None if sinks is None else sinks[:, None])
    weights = weights.reshape(kv_heads, -1, keys)
    mixed = _tiled(weights, np.ascontiguousarray(v.transpose(1, 2, 0)))
    return mixed.reshape(heads, rows, -1).swapaxes(0, 1)


def _softmax(scores: Array, sinks: Array | None) -> Array:
    """[..., keys]; a sink is one more score, whose weight goes nowhere."""
    top = scores.max(axis=-1, keepdims=True)
    if sinks is not None:
        top = np.maximum(top, sinks[:, None])
    weights = np.exp(scores - top)
    total = weights.sum(axis=-1, keepdims=True)
    if sinks is not None:
        total = total + np.exp(sinks[:, None] - top)
    return weights / total


def erf(x: Array) -> Array:
    """math.erf, number by number: exact, and only as fast as a reference must be."""
    flat = np.fromiter(map(math.erf, x.ravel().tolist()), np.float64, x.size)
    return flat.astype(np.float32).reshape(x.shape)


def top_k(x: Array, *, k: int) -> tuple[Array, Array]:
    index = np.argsort(-x, axis=-1, kind="stable")[..., :k].astype(np.int32)
    return np.take_along_axis(x, index, axis=-1), index


def split_axis(x: Array, *, axes: Any) -> Array:
    return x.reshape(*x.shape[:-1], *(axis.length for axis in axes))


def merge_axes(x: Array, *, count: int) -> Array:
    return x.reshape(*x.shape[:-count], -1)


def constant(*, numbers: tuple[float, ...], axes: Any) -> Array:
    return np.array(numbers, np.float32).reshape([axis.length for axis in axes])


def rms_norm(x: Array, weight: Array | None, *, eps: float, unit_offset: bool) -> Array:
    mean = (x * x).sum(axis=-1, keepdims=True) / np.float32(x.shape[-1])
    y = x / np.sqrt(mean + np.float32(eps))
    if weight is None:
        return y
    return y * (weight + np.float32(1) if unit_offset else weight)


def rows(weight: Array, ids: Array) -> Array:
    return weight[ids]


KERNELS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "sin": np.sin,
    "cos": np.cos,
    "less": np.less,
    "where": np.where,
    "erf": erf,
    "sum": lambda x: x.sum(axis=-1, keepdims=True),
    "max": lambda x: x.max(axis=-1, keepdims=True),
    "slice": lambda x, *, start, stop: x[..., start:stop],
    "concat": lambda *parts: np.concatenate(parts, axis=-1),
    "split_axis": split_axis,
    "merge_axes": merge_axes,
    "expand": lambda x, *, at: np.expand_dims(x, at),
    "select": lambda x, rows: x[rows],
    "gather": lambda x, index: np.take_along_axis(x, index, axis=-1),
    "top_k": top_k,
    "to_float": lambda x: x.astype(np.float32),
    "to_int": lambda x: x.astype(np.int32),
    "constant": constant,
    "value": lambda w: w,
    "linear": linear,
    "rows": rows,
    "append": append,
    "attention": attention,
    "expert_linear": expert_linear,
    "combine": combine,
    "head_linear": head_linear,
    "pool": pool,
    "rms_norm": rms_norm,
}
"""Op -> function of arrays and attributes."""
