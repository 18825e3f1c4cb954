"""A compiled graph on the CPU: tapes for a team of threads, numpy for what has no kernel."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from inferflow_backends.cpu.buffers import Arena, address, aligned
from inferflow_backends.cpu.cache_formats import FORMATS, plain_pages
from inferflow_backends.cpu.check import Checker, Span, span_of
from inferflow_backends.cpu.lives import lives
from inferflow_backends.cpu.lower import Lowering, Reference, Tape
from inferflow_backends.cpu.lowerings import Lowerings
from inferflow_backends.cpu.memory import (
    DTYPES,
    Memory,
    column_sizes,
    matrices,
    thread_scratch,
)
from inferflow_backends.cpu.native_states import native_states
from inferflow_backends.cpu.profile import Profile
from inferflow_backends.cpu.ranges import check_addresses
from inferflow_backends.cpu.tape import COLUMNS, ROW_BYTES, State
from inferflow_backends.cpu.team import Team
from inferflow_core.block import SourceState
from inferflow_core.graph import Function, Graph, Node, ParamRef, StateRef, Value, flatten, needed
from inferflow_core.interfaces import OpTime, Sizes, Step, Weight

Array = npt.NDArray[Any]
Lookup = Callable[[str], Callable[..., Any]]
SIZE_WORDS = State.TABLE_WIDTH + 1
"""The state begins with tokens, sequences, rows of output and the tables' width."""
SOURCE_WIDTH = int(State.SOURCE_WIDTH)


@dataclass(frozen=True)
class Code:
    """A finished tape."""

    rows: Array
    """int64 [rows, 16]"""
    address: int
    labels: Sequence[tuple[str, str]]


@dataclass
class Compiled:
    """One entry for one set of outputs."""

    segments: list[Code | Reference]
    buffers: Mapping[int, Array]
    outputs: Mapping[str, Value]
    arena: Arena
    """Owns every buffer whose address stands in a tape."""
    seen: Mapping[str, Array] = field(default_factory=dict[str, Array])
    """The outputs of the last step, on their buffers."""
    seen_sizes: tuple[int, ...] = ()
    spans: Sequence[Span] = ()
    """Of debug mode."""


@dataclass(frozen=True)
class CPUTicket:
    outputs: Mapping[str, Array]

    def result(self) -> Mapping[str, Array]:
        return self.outputs


class CPUProgram:
    """Owns weights, cache, buffers and the team."""

    def __init__(
        self,
        graph: Graph,
        weights: Mapping[str, Weight],
        sizes: Sizes,
        kernel: Lookup,
        lowerings: Lowerings,
        team: Team,
    ) -> None:
        self._graph, self._kernel, self._lowerings, self._team = graph, kernel, lowerings, team
        self._sizes = sizes
        self._profile: Profile | None = None
        self._memory = Memory(weights, graph.states, sizes)
        nodes = [node for entry in graph.entries for node in flatten(graph, entry)]
        self._memory.expect(matrices(nodes))
        layouts = native_states(nodes)
        self._checks = os.environ.get("INFERFLOW_CHECK_TAPE") == "1"
        for path in graph.states:
            self._memory.place(path, layouts.get(path))
        self._columns = {
            name: aligned(4 * count).view(np.int32) for name, count in column_sizes(sizes).items()
        }
        self._state = aligned(256).view(np.int64)
        self._state_address = address(self._state)
        for name, word in COLUMNS.items():
            self._state[word] = address(self._columns[name])
        self._state[State.PAGE_TOKENS] = sizes.page_tokens
        self._compiled: dict[tuple[str, tuple[str, ...]], Compiled] = {}
        self._scratch = self._make_scratch(nodes)

    def _make_scratch(self, nodes: list[Node]) -> Array:
        room = thread_scratch(nodes)
        scratch = aligned(room * self._team.threads)
        self._state[State.SCRATCH] = address(scratch)
        self._state[State.SCRATCH_BYTES] = room
        return scratch

    def submit(self, step: Step, outputs: Sequence[str] = ("logits",)) -> CPUTicket:
        """Runs the step."""
        key = (step.entry, tuple(outputs))
        if key not in self._compiled:
            self._compiled[key] = self._compile(*key)
        compiled = self._compiled[key]
        sizes = self._load(step)
        if self._checks:
            self._check(compiled)
        for segment in () if self._checks else compiled.segments:
            if self._profile is not None:
                self._run_timed(segment, compiled.buffers, self._profile)
            elif isinstance(segment, Reference):
                self._call(segment, compiled.buffers)
            else:
                self._team.run(segment.address, len(segment.rows), self._state_address)
        if compiled.seen_sizes != sizes:
            views = {n: self._view(v, compiled.buffers) for n, v in compiled.outputs.items()}
            compiled.seen, compiled.seen_sizes = views, sizes
        return CPUTicket(compiled.seen)

    def profile(self) -> Sequence[OpTime]:
        """See `interfaces.Profiled`."""
        before, self._profile = self._profile, Profile()
        return before.times() if before else []

    def _run_timed(
        self, segment: Code | Reference, buffers: Mapping[int, Array], profile: Profile
    ) -> None:
        if isinstance(segment, Reference):
            label = f"numpy {segment.node.op}", segment.node.path
            profile.call(label, lambda: self._call(segment, buffers))
        else:
            whole = segment.address, len(segment.rows), self._state_address
            profile.tape(segment.labels, lambda times: self._team.run(*whole, times))

    def _check(self, compiled: Compiled) -> None:
        """Runs the step in debug mode."""

        def run(span: Span) -> None:
            segment = compiled.segments[span.segment]
            if isinstance(segment, Reference):
                self._call(segment, compiled.buffers)
            elif span.count:
                start = segment.address + ROW_BYTES * span.start
                self._team.run(start, span.count, self._state_address)

        def operand(item: Any) -> Array | None:
            if not isinstance(item, StateRef):
                return self._operand(item, compiled.buffers)
            layout = self._memory.layouts.get(item.path)
            cache = self._memory.caches[item.path]
            if layout is None:
                return cache.copy()
            _, width = self._memory.row_of(item.path)
            return plain_pages(cache, FORMATS[self._memory.cache], layout, width)

        def reference(node: Node, inputs: Sequence[Any]) -> tuple[Array, ...]:
            result = self._kernel(node.op)(*inputs, **self._attrs(node))
            return result if isinstance(result, tuple) else () if result is None else (result,)

        Checker(run, operand, reference).step(compiled.spans)

    def copy_page(self, source: int, target: int) -> None:
        for path, cache in self._memory.caches.items():
            if not isinstance(self._graph.states[path], SourceState):
                cache[target] = cache[source]

    def close(self) -> None:
        self._team.close()
        self._memory.close()
        self._compiled.clear()

    def _load(self, step: Step) -> tuple[int, ...]:
        """Copies the step's columns into the program's own, checked against their room. Returns
        how many tokens, sequences and rows of output it has."""
        sizes = len(step.ids), len(step.lengths), len(step.out_rows)
        sources = step.source_tables
        self._state[:SIZE_WORDS] = (*sizes, step.block_tables.shape[1])
        self._state[SOURCE_WIDTH] = 0 if sources is None else sources.shape[1]
        for name, home in self._columns.items():
            column = getattr(step, name)
            if column is None:
                if name == "token_types":
                    home[: sizes[0]] = 0
                continue
            count = column.size
            if count > len(home):
                raise ValueError(f"{name}: {count} numbers, room for {len(home)}")
            home[:count] = column.reshape(-1)
        return sizes

    def _compile(self, entry: str, outputs: tuple[str, ...]) -> Compiled:
        named = self._graph.entries[entry].outputs
        wanted = {name: named[name] for name in outputs}
        nodes = needed(list(flatten(self._graph, entry)), wanted)
        most = self._sizes.max_tokens
        limits = {"T": most, "R": most, "S": self._sizes.max_sequences}
        keep = [value.id for value in wanted.values()]
        deaths = lives(nodes, keep)
        low = Lowering(self._memory, self._graph.inputs, self._columns, limits, self._rule)
        spans: list[Span] = []
        for place, node in enumerate(nodes):
            before = low.place()
            run, low.path = self._kernel(node.op), node.path
            if low.fold(node, run):
                continue
            if not self._fits(node) or not self._lowerings.lower(low, node):
                low.reference(node, run)
            spans.append(span_of(low, node, before))
            for owner in deaths.get(place, ()):
                if owner in low.buffers:
                    low.free(owner)
        segments = [_code(s) if isinstance(s, Tape) else s for s in low.segments]
        self._memory.settle()
        tapes = [segment for segment in segments if isinstance(segment, Code)]
        rows = [
            (label[0], row)
            for tape in tapes
            for label, row in zip(tape.labels, tape.rows, strict=True)
        ]
        owned = [*low.buffers.values(), *low.arena.buffers, *self._memory.arrays()]
        check_addresses([*rows, *low.nested], owned, low.kernels)
        return Compiled(segments, low.buffers, wanted, low.arena, spans=spans)

    def _fits(self, node: Node) -> bool:
        """Whether the node's caches have the kernels' layout."""
        layouts = self._memory.layouts
        return all(i.path in layouts for i in node.inputs if isinstance(i, StateRef))

    def _call(self, segment: Reference, buffers: Mapping[int, Array]) -> None:
        node = segment.node
        inputs = [self._operand(item, buffers) for item in node.inputs]
        result = segment.run(*inputs, **self._attrs(node))
        results = result if isinstance(result, tuple) else (result,)
        for value, array in zip(node.outputs, results, strict=False):
            self._view(value, buffers)[...] = array

    def _attrs(self, node: Node) -> dict[str, Any]:
        return {k: self._rule(v) if isinstance(v, Function) else v for k, v in node.attrs.items()}

    def _operand(self, item: Any, buffers: Mapping[int, Array]) -> Any:
        if isinstance(item, Value):
            return self._view(item, buffers)
        if isinstance(item, ParamRef):
            return self._memory.plain(item.path)
        return None if item is None else self._memory.caches[item.path]

    def _view(self, value: Value, buffers: Mapping[int, Array]) -> Array:
        """A value of the running step, as a numpy array on its buffer."""
        for name, column in self._graph.inputs.items():
            if column.id == value.id:
                return self._column(name)
        sizes = {"T": State.TOKENS, "S": State.SEQUENCES, "R": State.OUT_ROWS}
        shape = [
            int(self._state[sizes[a.size]]) if isinstance(a.size, str) else a.size
            for a in value.axes
        ]
        dtype = np.dtype(DTYPES[value.dtype])
        count = int(np.prod(shape, dtype=np.int64))
        return buffers[value.id][: count * dtype.itemsize].view(dtype).reshape(shape)

    def _column(self, name: str) -> Array:
        tokens, sequences, rows, table = (int(self._state[word]) for word in range(4))
        home = self._columns[name]
        widths = {"block_tables": table, "source_tables": int(self._state[State.SOURCE_WIDTH])}
        if name in widths:
            return home[: sequences * widths[name]].reshape(sequences, widths[name])
        counts = {"offsets": sequences + 1, "lengths": sequences, "out_rows": rows}
        counts["source_lengths"] = sequences
        return home[: counts.get(name, tokens)]

    def _rule(self, function: Function) -> Callable[..., Array]:
        """A score rule, run node by node on arrays."""

        def rule(*columns: Array) -> Array:
            values = {a.id: c for a, c in zip(function.arguments, columns, strict=True)}
            for node in function.nodes:
                inputs = [
                    values[i.id] if isinstance(i, Value) else self._operand(i, {})
                    for i in node.inputs
                ]
                values[node.outputs[0].id] = self._kernel(node.op)(*inputs, **node.attrs)
            return values[function.results[0].id]

        return rule


def _code(tape: Tape) -> Code:
    rows = tape.finished()
    return Code(rows, address(rows), tape.labels)
