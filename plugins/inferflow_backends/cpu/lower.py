"""Lowering: a graph's nodes become tape rows, and numpy calls for what has no kernel.

A program is a list of segments, run in order: tapes, and calls of numpy references in between.
Every value has a buffer for the largest step. A barrier stands where a row reads what an earlier
one wrote, or writes what an earlier one used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from inferflow_backends.cpu.buffers import Arena, address, placed
from inferflow_backends.cpu.memory import DTYPES, Memory, numbers
from inferflow_backends.cpu.tape import COLUMNS, SIZES, WORDS, State
from inferflow_core.graph import Function, Node, ParamRef, Value

Array = npt.NDArray[Any]
BARRIER = [0] * WORDS


@dataclass
class Tape:
    """A run of rows; `finished` is what kernels get."""

    rows: list[list[int]] = field(default_factory=list[list[int]])
    labels: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Of each row the kernel's name and the block's path."""

    def finished(self) -> Array:
        """int64 [rows, 16]."""
        return np.array([row + [0] * (WORDS - len(row)) for row in self.rows], np.int64)


@dataclass(frozen=True)
class Reference:
    """An op without a kernel: its numpy function between two tapes."""

    node: Node
    run: Callable[..., Any]


Segment = Tape | Reference

Split = tuple[int, int, int]
"""(state word of a size, units for each of it, numbers of a unit): thread t of n has the units from
t * units // n on."""


class Lowering:
    """Collects the segments of one entry; the lowerings of ops use its methods."""

    def __init__(
        self,
        memory: Memory,
        inputs: Mapping[str, Value],
        columns: Mapping[str, Array],
        limits: Mapping[str, int],
        rule: Callable[[Function], Callable[..., Array]],
    ) -> None:
        self.memory = memory
        self.rule = rule
        """Makes a score rule one that runs on arrays."""
        self.path = ""
        """Of the block that asked for the node that is being lowered."""
        self.segments: list[Segment] = []
        self.buffers = {value.id: columns[n].view(np.uint8) for n, value in inputs.items()}
        """Value id -> uint8 buffer. A view of another value (`alias`) shares its buffer."""
        self._constants: dict[int, Array] = {}
        self._kept = set(self.buffers)
        """Values whose buffers are not the arena's."""
        self._columns = {value.id: COLUMNS[name] for name, value in inputs.items()}
        self._limits = limits
        self.arena = Arena()
        self._owners: dict[int, int] = {}
        self._quantized: dict[tuple[int, tuple[int, bool] | None], list[Array]] = {}
        self.kernels: set[int] = set()
        """Addresses of the kernels that stand in rows."""
        self.nested: list[tuple[str, Array]] = []
        """Words outside of the tape, with the path of the block they are for."""
        self._read: set[int] = set()
        self._written: set[int] = set()
        self._splits: dict[int, Split | None] = {}

    def column(self, value: Any) -> State | None:
        """The state word of a context column, or None for another value."""
        return self._columns.get(value.id) if isinstance(value, Value) else None

    def capacity(self, value: Value) -> int:
        """Numbers of a value in the largest step."""
        size, count = numbers(value)
        return count * self._limits.get(size, 1)

    def size_word(self, value: Value) -> tuple[int, int] | None:
        """The state word of a value's run-time size and the numbers a unit; None without one."""
        size, count = numbers(value)
        return (int(SIZES[size]), count) if size in SIZES else None

    def output(self, value: Value) -> int:
        """The address of a buffer for a new value."""
        self.buffers[value.id] = self.arena.take(4 * self.capacity(value))
        return address(self.buffers[value.id])

    def input(self, value: Value) -> int:
        return address(self.buffers[value.id])

    def alias(self, value: Value, of: Value) -> None:
        """`value` is `of` seen with other axes."""
        self.buffers[value.id] = self.buffers[of.id]
        self._owners[value.id] = self._owners.get(of.id, of.id)

    def owner(self, value: Value) -> int:
        """The id of the value that a view is of; its own id otherwise."""
        return self._owners.get(value.id, value.id)

    def fold(self, node: Node, run: Callable[..., Any]) -> bool:
        """Computes a node of params and constants alone, once. False for any other."""
        if node.op == "value" and isinstance(node.inputs[0], ParamRef):
            results = (self.memory.plain(node.inputs[0].path),)
        elif all(isinstance(x, Value) and x.id in self._constants for x in node.inputs):
            inputs = [self._constants[x.id] for x in node.inputs if isinstance(x, Value)]
            result = run(*inputs, **node.attrs)
            results = result if isinstance(result, tuple) else (result,)
        else:
            return False
        for value, array in zip(node.outputs, results, strict=True):
            self._constants[value.id] = array
            home = placed(np.asarray(array, DTYPES[value.dtype]))
            self.buffers[value.id] = home.reshape(-1).view(np.uint8)
            self._kept.add(value.id)
        return True

    def free(self, owner: int) -> None:
        """Gives back the buffers of a value that nobody reads any more."""
        if owner in self._kept:
            return
        self.arena.give_back(self.buffers[owner])
        for key in [key for key in self._quantized if key[0] == owner]:
            for buffer in self._quantized.pop(key):
                self.arena.give_back(buffer)

    def quantized(
        self, value: Value, sizes: Sequence[int], *, kind: tuple[int, bool] | None = None
    ) -> tuple[list[Array], bool]:
        """The buffers of a value's packed form, or of another `kind` of what is made of it, and
        whether they are new (still to be filled)."""
        key = (self.owner(value), kind)
        new = key not in self._quantized
        if new:
            self._quantized[key] = [self.arena.take(size) for size in sizes]
        return self._quantized[key], new

    def words(self, words: Sequence[int]) -> int:
        """The address of words that a row has no room for, int64."""
        home = placed(np.array(words, np.int64))
        self.arena.buffers.append(home)
        self.nested.append((self.path, home))
        return address(home)

    def kernel(self, compiled: Any) -> int:
        """The address of a kernel that another one calls."""
        self.kernels.add(compiled.address)
        return compiled.address

    def row(
        self,
        op: Any,
        words: Sequence[int],
        reads: list[int],
        writes: list[int],
        *,
        split: Split | None = None,
    ) -> None:
        """Adds a row. `reads` and `writes` are the addresses of the buffers it uses.

        `split` says how its threads share the numbers of all that it reads and writes: behind a row
        with the same split no barrier is needed, each thread goes on with what it wrote itself.
        """
        if not self.segments or isinstance(self.segments[-1], Reference):
            self.segments.append(Tape())
            self._pass_barrier()
        tape = self.segments[-1]
        assert isinstance(tape, Tape)
        others = [a for a in reads if split is None or self._splits.get(a) != split]
        if self._written.intersection(others + writes) or self._read.intersection(writes):
            tape.rows.append(BARRIER)
            tape.labels.append(("wait", ""))
            self._pass_barrier()
        tape.rows.append([self.kernel(op), *map(int, words)])
        tape.labels.append((getattr(op, "__name__", "kernel").removeprefix("op_"), self.path))
        self._read.update(reads)
        self._written.update(writes)
        self._splits.update({a: split for a in writes if split is not None})

    def split_of(self, buffer: int) -> Split | None:
        """How a buffer was written since the last barrier, if its row said."""
        return self._splits.get(buffer)

    def place(self) -> tuple[int, int]:
        """How many segments there are, and rows of the last."""
        last = self.segments[-1] if self.segments else None
        return len(self.segments), len(last.rows) if isinstance(last, Tape) else 0

    def _pass_barrier(self) -> None:
        self._read, self._written, self._splits = set(), set(), {}

    def reference(self, node: Node, run: Callable[..., Any]) -> None:
        """Adds a numpy call."""
        for value in node.outputs:
            self.output(value)
        self.segments.append(Reference(node, run))
