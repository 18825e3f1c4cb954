"""What a program owns: weights as the kernels read them, the cache, tables, and value buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from inferflow_backends.cpu.attention_words import PART, SHARED_PARTS, Words, scratch_bytes
from inferflow_backends.cpu.buffers import aligned, large, placed
from inferflow_backends.cpu.cache_formats import FORMATS, Layout, padded
from inferflow_backends.cpu.forms import Forms
from inferflow_backends.cpu.layouts import LAYOUT, LAYOUTS, PANELS, held, stacked
from inferflow_backends.cpu.pack import Packed, Stacked, pack_floats, packing, whole_groups
from inferflow_backends.cpu.tape import COLUMNS, PRODUCTS
from inferflow_backends.cpu.threads import default_threads
from inferflow_core.block import SourceState, State
from inferflow_core.graph import Node, ParamRef, Value
from inferflow_core.interfaces import LaidOut, LaidOutWeight, Sizes, Weight

Array = npt.NDArray[Any]
CACHED_BYTES = 16 * 2**20
"""A model whose float32 weights are no larger stays in the processor's cache: packing would save
no time, and cost what rounding activations costs."""

MATRICES = {
    "rows": (0,),
    **dict.fromkeys(("linear", "linear_add", "expert_linear"), (1,)),
    "gated_linear": (1, 2),
}
"""Op -> which of its inputs kernels read packed."""

DTYPES = {"float": np.float32, "int": np.int32, "bool": np.bool_}


class Memory:
    """Weights are packed by threads of its own; a state has the layout of who reads it."""

    def __init__(self, weights: Mapping[str, Weight], states: Mapping[str, State], sizes: Sizes):
        self._weights, self._states, self.sizes = weights, states, sizes
        self._packed: dict[str, Packed] = {}
        self._packers: ThreadPoolExecutor | None = None
        self._packing: list[Future[None]] = []
        self._plain: dict[str, Array] = {}
        self._tables: dict[Any, tuple[Array, Array]] = {}
        self._scores: dict[Any, Array] = {}
        self._parts = aligned(0)
        self._kept: list[Array] = []
        self._packs = packs(weights)
        matrices = [weight for weight in weights.values() if len(weight.shape) in (2, 3)]
        packed = any(held_as(weight, packs=self._packs)[0] in LAYOUTS for weight in matrices)
        self.cache = sizes.cache if sizes.cache != "auto" else "f16" if packed else "f32"
        """Format of keys and values: by default float16 beside packed weights, whose own error is
        larger."""
        self.floats = sizes.activations == "float"
        """Whether packed weights are multiplied with activations as they are."""
        packed = [weight for weight in weights.values() if weight.format in LAYOUTS]
        self.sums = any(LAYOUTS[w.format].minimum or len(w.shape) == 3 for w in packed)
        """Whether many activations need sums of their codes: beside minimums, and where experts
        have few tokens of many."""
        self.forms = Forms()
        self.caches: dict[str, Array] = {}
        """State path -> its pages, outermost."""
        self.layouts: dict[str, Layout] = {}
        """Of the states whose pages kernels read: uint8 [page][kv head][tile][byte]."""

    def expect(self, paths: Iterable[str]) -> None:
        """Begins to pack matrices, all in one room, and comes back at once."""
        new = {path: held_as(self._weights[path], packs=self._packs) for path in paths}
        new = {path: each for path, each in new.items() if path not in self._packed}
        kept = {path for path in new if laid_out(self._weights[path]) is not None}
        room = large(sum(padded(count, 64) for path, (_, count) in new.items() if path not in kept))
        place = 0
        for path, (format, count) in new.items():
            weight = self._weights[path]
            laid = laid_out(weight)
            if len(weight.shape) == 3:
                weight = Stacked(weight)
            if laid is not None:
                self._packed[path] = Packed.of(laid.data, format, weight.shape)
                continue
            home, place = room[place : place + count], place + padded(count, 64)
            self._packed[path] = Packed.of(home, format, weight.shape)
            if self._packers is None:
                self._packers = ThreadPoolExecutor(self.sizes.threads or default_threads())
            self._packing += map(self._packers.submit, packing(weight, format, home))

    def packed(self, path: str) -> Packed:
        """A matrix for `linear` and `rows`, or one of each expert, one below the other; its bytes
        are there after `settle`."""
        if path not in self._packed:
            self.expect([path])
        return self._packed[path]

    def settle(self) -> None:
        """Waits for what is being packed. Raises what reading a weight raises."""
        while self._packing:
            self._packing.pop().result()
        if self._packers is not None:
            self._packers.shutdown()
            self._packers = None

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
            self._packed[key] = pack_floats(maps)
        return self._packed[key]

    def plain(self, path: str) -> Array:
        """A param as float32, row by row: small ones, and those of numpy references."""
        if path not in self._plain:
            self._plain[path] = placed(np.asarray(self._weights[path].values(), np.float32))
        return self._plain[path]

    def place(self, path: str, layout: Layout | None) -> None:
        """Makes a state's pages: for kernels, or without a layout for numpy references, float32
        [page][slot][row]."""
        state = self._states[path]
        pages, row = pages_of(state, self.sizes), tuple(axis.length for axis in state.axes)
        if layout is None:
            shape = (pages, self.sizes.page_tokens, *row)
            self.caches[path] = aligned(4 * prod(shape)).view(np.float32).reshape(shape)
            return
        tile = FORMATS[self.cache].tile_bytes(layout, row[1])
        shape = (pages, row[0], self.sizes.page_tokens // 16, tile)
        self.caches[path] = large(prod(shape)).reshape(shape)
        self.layouts[path] = layout

    def row_of(self, path: str) -> tuple[int, int]:
        """Kv heads and channels of a state."""
        heads, width = (axis.length for axis in self._states[path].axes)
        return heads, width

    def parts(self, heads: int, width: int) -> Array:
        """Room for the parts of attention that threads share (`parts_bytes`); all layers use the
        same."""
        count = parts_bytes(self.sizes, heads, width)
        if self._parts.nbytes < count:
            self._parts = aligned(count)
            self._kept.append(self._parts)
        return self._parts

    def words(self, values: Mapping[Words, int]) -> Array:
        """The words of an attention."""
        words = aligned(8 * len(Words)).view(np.int64)
        for word, value in values.items():
            words[word] = value
        self._kept.append(words)
        return words

    def score_table(self, key: Any, make: Callable[[], Array]) -> Array:
        """The table of a score rule, made for the first attention that has the rule."""
        if key not in self._scores:
            self._scores[key] = placed(make())
        return self._scores[key]

    def rotations(self, frequencies: tuple[float, ...], scale: float) -> tuple[Array, Array]:
        """Cosines and sines [context][pairs] of a rope, float32 angles as the reference has."""
        key = (frequencies, scale)
        if key not in self._tables:
            positions = np.arange(self.sizes.context, dtype=np.float32)[:, None]
            angles = positions * np.array(frequencies, np.float32)
            factor = np.float32(scale)
            self._tables[key] = placed(np.cos(angles) * factor), placed(np.sin(angles) * factor)
        return self._tables[key]

    def arrays(self) -> Iterator[Array]:
        """All that rows may have addresses in."""
        for packed in self._packed.values():
            yield from (packed.codes, packed.scales)
        for pair in self._tables.values():
            yield from pair
        for store in (self._plain, self._scores, self.caches, self.forms.made):
            yield from store.values()
        yield from self._kept

    def close(self) -> None:
        if self._packers is not None:
            self._packers.shutdown(cancel_futures=True)
        for store in (self._packed, self._plain, self._tables, self._scores, self.caches):
            store.clear()


def packs(weights: Mapping[str, Weight]) -> bool:
    """Whether a model is large enough for its weights to be packed."""
    count = sum(4 * int(np.prod(weight.shape, dtype=np.int64)) for weight in weights.values())
    return count > CACHED_BYTES


def matrices(nodes: Iterable[Node]) -> list[str]:
    """The params that kernels read packed, in the order in which a step does."""
    found = (node.inputs[place] for node in nodes for place in MATRICES.get(node.op, ()))
    return [*dict.fromkeys(item.path for item in found if isinstance(item, ParamRef))]


def laid_out(weight: Weight) -> LaidOut | None:
    """What a file holds in this backend's own order."""
    found = weight.laid_out if isinstance(weight, LaidOutWeight) else None
    return found if found is not None and found.layout == LAYOUT else None


def held_as(weight: Weight, *, packs: bool) -> tuple[str, int]:
    """The format in which a matrix is held, and its bytes."""
    laid = laid_out(weight)
    if laid is not None:
        return laid.format, laid.data.nbytes
    shape = stacked(weight.shape) if len(weight.shape) == 3 else weight.shape
    return held(shape, weight.format, packs=packs)


def pages_of(state: State, sizes: Sizes) -> int:
    """Pages of a state."""
    return sizes.source_pages if isinstance(state, SourceState) else sizes.pages


def parts_bytes(sizes: Sizes, heads: int, width: int) -> int:
    """Rows of 16 + width float32, `width` padded: for every part of every row of a step, or as many
    as threads share at most."""
    parts = sizes.max_tokens * heads * -(-sizes.context // PART)
    return 4 * min(SHARED_PARTS, parts) * (16 + width)


def column_sizes(sizes: Sizes) -> dict[str, int]:
    """Numbers of each column of the largest step."""
    pages = -(-sizes.context // sizes.page_tokens)
    most = sizes.max_sequences
    counts = {"offsets": most + 1, "lengths": most, "source_lengths": most}
    counts |= dict.fromkeys(("block_tables", "source_tables"), most * pages)
    return {name: counts.get(name, sizes.max_tokens) for name in COLUMNS}


def thread_scratch(nodes: list[Node]) -> int:
    """Bytes that a thread has: for a chunk of queries and their sums, or for the products of a
    linear and the weights that it unpacks."""
    shapes = [
        (q.axes[2].length, node.outputs[0].axes[2].length)
        for node in nodes
        if node.op == "attention" and isinstance(q := node.inputs[0], Value)
    ]
    rooms = [scratch_bytes(padded(width), padded(v_width)) for width, v_width in shapes]
    columns = [
        x.axes[-1].length * (2 if n.op == "gated_linear" else 1)
        for n in nodes
        if n.op == "head_linear" or (n.op in MATRICES and n.op != "rows")
        for x in n.inputs[:1]
        if isinstance(x, Value)
    ]
    columns += [n.outputs[0].axes[-1].length for n in nodes if n.op == "rows"]
    return PRODUCTS + max(64 * max(columns, default=0), PANELS, *rooms)


def numbers(value: Value) -> tuple[str, int]:
    """A value's run-time size ("" if it has none) and how many numbers each unit of it has."""
    size, count = "", 1
    for axis in value.axes:
        if isinstance(axis.size, str):
            size = axis.size
        else:
            count *= axis.size
    return size, count
