"""What a program owns: weights as the kernels read them, the cache, tables, and value buffers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from inferflow_backends.cpu.buffers import aligned, placed
from inferflow_backends.cpu.forms import Forms
from inferflow_backends.cpu.layouts import LAYOUTS
from inferflow_backends.cpu.pack import Packed, Stacked, pack, pack_dense, whole_groups
from inferflow_backends.cpu.tape import COLUMNS, PART, PRODUCTS, SHARED_TOKENS
from inferflow_backends.cpu.threads import default_threads
from inferflow_core.block import SourceState, State
from inferflow_core.graph import Node, Value
from inferflow_core.interfaces import Sizes, Weight

Array = npt.NDArray[Any]
CACHED_BYTES = 16 * 2**20
"""A model whose float32 weights are no larger stays in the processor's cache: packing would save
no time, and cost what rounding activations costs."""

DTYPES = {"float": np.float32, "int": np.int32, "bool": np.bool_}


class Memory:
    """Weights are packed when a kernel first asks; a state has the layout of who reads it."""

    def __init__(self, weights: Mapping[str, Weight], states: Mapping[str, State], sizes: Sizes):
        self._weights, self._states, self.sizes = weights, states, sizes
        self._packed: dict[str, Packed] = {}
        self._plain: dict[str, Array] = {}
        self._tables: dict[Any, tuple[Array, Array]] = {}
        self._parts = aligned(0)
        self._kept: list[Array] = []
        count = sum(4 * int(np.prod(weight.shape, dtype=np.int64)) for weight in weights.values())
        self.packs = count > CACHED_BYTES
        packed = self.packs and any(weight.format in LAYOUTS for weight in weights.values())
        self.half = sizes.cache == "f16" or (sizes.cache == "auto" and packed)
        """Whether keys and values are float16: by default beside packed weights, whose own error
        is larger."""
        self.floats = sizes.activations == "float"
        """Whether packed weights are multiplied with activations as they are."""
        layouts = [LAYOUTS[w.format] for w in weights.values() if w.format in LAYOUTS]
        self.minimums = any(layout.minimum for layout in layouts)
        """Whether any packed format has minimums, which are multiplied with sums of activations."""
        self.forms = Forms()
        self.caches: dict[str, Array] = {}
        """State path -> its pages, outermost."""

    def packed(self, path: str) -> Packed:
        """A matrix for `linear` and `rows`, or one of each expert, one below the other."""
        if path not in self._packed:
            weight = self._weights[path]
            if len(weight.shape) == 3:
                weight = Stacked(weight)
            threads = self.sizes.threads or default_threads()
            self._packed[path] = (
                pack(weight, threads) if self.packs else pack_dense(weight.values(), "f32")
            )
        return self._packed[path]

    def shape(self, path: str) -> tuple[int, ...]:
        """Of a param."""
        return self._weights[path].shape

    def head_maps(self, path: str, heads: int, *, start: int, stop: int, transpose: bool) -> Packed:
        """Rows start:stop of each head of a matrix, or these transposed, as float32 maps one below
        the other."""
        key = f"{path}[{start}:{stop}]{'T' if transpose else ''}"
        if key not in self._packed:
            values = self._weights[path].values()
            maps = values.reshape(heads, -1, values.shape[-1])[:, start:stop]
            maps = whole_groups(maps.swapaxes(1, 2) if transpose else maps)
            self._packed[key] = pack_dense(maps, "f32")
        return self._packed[key]

    def plain(self, path: str) -> Array:
        """A param as float32, row by row: small ones, and those of numpy references."""
        if path not in self._plain:
            self._plain[path] = placed(np.asarray(self._weights[path].values(), np.float32))
        return self._plain[path]

    def keys(self, path: str) -> Array:
        """[page][kv head][tile][channel][16]"""
        heads, width = (axis.length for axis in self._states[path].axes)
        shape = (self._pages(path), heads, self.sizes.page_tokens // 16, width, 16)
        return self._cache(path, shape, half=self.half)

    def values(self, path: str) -> Array:
        """[page][kv head][slot][channel, padded to a multiple of 16]"""
        heads, width = (axis.length for axis in self._states[path].axes)
        shape = (self._pages(path), heads, self.sizes.page_tokens, padded(width))
        return self._cache(path, shape, half=self.half)

    def rows(self, path: str) -> Array:
        """[page][slot][row]: the layout of numpy references."""
        row = tuple(axis.length for axis in self._states[path].axes)
        return self._cache(path, (self._pages(path), self.sizes.page_tokens, *row))

    def _pages(self, path: str) -> int:
        return pages_of(self._states[path], self.sizes)

    def _cache(self, path: str, shape: tuple[int, ...], *, half: bool = False) -> Array:
        if path not in self.caches:
            dtype = np.dtype(np.float16 if half else np.float32)
            count = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            self.caches[path] = aligned(count).view(dtype).reshape(shape)
        return self.caches[path]

    def parts(self, heads: int, width: int) -> Array:
        """Room for the parts of attention that threads share (`parts_bytes`); all layers use the
        same."""
        count = parts_bytes(self.sizes, heads, width)
        if self._parts.nbytes < count:
            self._parts = aligned(count)
            self._kept.append(self._parts)
        return self._parts

    def rotations(self, frequencies: tuple[float, ...], scale: float) -> tuple[Array, Array]:
        """Cosines and sines [context][pairs] of a rope, float32 angles as the reference has."""
        key = (frequencies, scale)
        if key not in self._tables:
            positions = np.arange(self.sizes.context, dtype=np.float32)[:, None]
            angles = positions * np.array(frequencies, np.float32)
            factor = np.float32(scale)
            self._tables[key] = placed(np.cos(angles) * factor), placed(np.sin(angles) * factor)
        return self._tables[key]

    def close(self) -> None:
        for store in (self._packed, self._plain, self._tables, self.caches):
            store.clear()


def pages_of(state: State, sizes: Sizes) -> int:
    """Pages of a state."""
    return sizes.source_pages if isinstance(state, SourceState) else sizes.pages


def parts_bytes(sizes: Sizes, heads: int, width: int) -> int:
    """[tokens][heads][parts][16 + width] float32; `width` is padded."""
    slots = -(-sizes.context // sizes.page_tokens) * sizes.page_tokens
    return 4 * SHARED_TOKENS * heads * -(-slots // PART) * (16 + width)


def column_sizes(sizes: Sizes) -> dict[str, int]:
    """Numbers of each column of the largest step."""
    pages = -(-sizes.context // sizes.page_tokens)
    most = sizes.max_sequences
    counts = {"offsets": most + 1, "lengths": most, "source_lengths": most}
    counts |= dict.fromkeys(("block_tables", "source_tables"), most * pages)
    return {name: counts.get(name, sizes.max_tokens) for name in COLUMNS}


def thread_scratch(nodes: list[Node]) -> int:
    """Bytes that a thread has: for a block of queries and their sums, or for the products of a
    linear and the weights that it unpacks."""
    mixed = [node for node in nodes if node.op == "attention"]
    tensors = [item for n in mixed for item in (*n.inputs, *n.outputs)]
    shapes = [t.axes for t in tensors if isinstance(t, Value) and len(t.axes) == 3]
    widest = max((axes[-1].length for axes in shapes), default=0)
    columns = [
        x.axes[-1].length
        for n in nodes
        if n.op in ("linear", "expert_linear", "head_linear")
        for x in n.inputs[:1]
        if isinstance(x, Value)
    ]
    columns += [n.outputs[0].axes[-1].length for n in nodes if n.op == "rows"]
    unpacked = 64 * max(columns, default=0)
    return PRODUCTS + max(unpacked, 3 * 8 * 4 * padded(widest))


def padded(width: int) -> int:
    """The next multiple of 16."""
    return -(-width // 16) * 16


def numbers(value: Value) -> tuple[str, int]:
    """A value's run-time size ("" if it has none) and how many numbers each unit of it has."""
    size, count = "", 1
    for axis in value.axes:
        if isinstance(axis.size, str):
            size = axis.size
        else:
            count *= axis.size
    return size, count
