"""A compiled graph on numpy: the nodes that an output needs, run one after the other."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferflow_core.block import SourceState
from inferflow_core.graph import Function, Graph, Node, Operand, ParamRef, Value, flatten, needed
from inferflow_core.interfaces import OpTime, Sizes, Step, Weight

Array = npt.NDArray[Any]
Lookup = Callable[[str], Callable[..., Any]]


@dataclass(frozen=True)
class Instruction:
    """A kernel with the slots of its inputs and outputs; constants are bound already."""

    run: Callable[..., Any]
    inputs: tuple[Any, ...]
    """int: a slot; else the array itself, or None."""
    attrs: Mapping[str, Any]
    outputs: tuple[int, ...]
    dead: tuple[int, ...]
    """Slots that nobody reads after this."""
    label: tuple[str, str]
    """The op, and the block that asked for it, with `*` for the number of a layer."""


@dataclass(frozen=True)
class NumpyTicket:
    """The outputs of a step that has already run."""

    outputs: Mapping[str, Array]

    def result(self) -> Mapping[str, Array]:
        return self.outputs


class NumpyProgram:
    """Owns the weights (float32) and the cache pages of every state."""

    def __init__(
        self, graph: Graph, weights: Mapping[str, Weight], sizes: Sizes, kernel: Lookup
    ) -> None:
        self._graph, self._kernel = graph, kernel
        self._seconds: defaultdict[tuple[str, str], list[float]] | None = None
        used = {
            item.path
            for entry in graph.entries
            for node in flatten(graph, entry)
            for item in _operands(node)
            if isinstance(item, ParamRef)
        }
        self._handles: dict[str, Array] = {
            path: np.ascontiguousarray(weights[path].values(), np.float32) for path in sorted(used)
        }
        for path, state in graph.states.items():
            pages = sizes.source_pages if isinstance(state, SourceState) else sizes.pages
            shape = (pages, sizes.page_tokens, *(axis.length for axis in state.axes))
            self._handles[path] = np.zeros(shape, np.float32)
        self._compiled: dict[tuple[str, tuple[str, ...]], list[Instruction]] = {}

    def submit(self, step: Step, outputs: Sequence[str] = ("logits",)) -> NumpyTicket:
        """Runs the step at once."""
        key = (step.entry, tuple(outputs))
        if key not in self._compiled:
            self._compiled[key] = self._compile(*key)
        slots = self._inputs(step)
        for instruction in self._compiled[key]:
            arguments = [slots[i] if isinstance(i, int) else i for i in instruction.inputs]
            start = time.perf_counter()
            result = instruction.run(*arguments, **instruction.attrs)
            if self._seconds is not None:
                self._seconds[instruction.label].append(time.perf_counter() - start)
            if len(instruction.outputs) == 1:
                slots[instruction.outputs[0]] = result
            elif instruction.outputs:
                slots.update(zip(instruction.outputs, result, strict=True))
            for slot in instruction.dead:
                del slots[slot]
        named = self._graph.entries[step.entry].outputs
        return NumpyTicket({name: slots[named[name].id] for name in outputs})

    def profile(self) -> Sequence[OpTime]:
        """See `interfaces.Profiled`."""
        before, self._seconds = self._seconds or {}, defaultdict[tuple[str, str], list[float]](list)
        times = [OpTime(op, path, len(s), sum(s)) for (op, path), s in before.items()]
        return sorted(times, key=lambda each: -each.seconds)

    def copy_page(self, source: int, target: int) -> None:
        for path, state in self._graph.states.items():
            if not isinstance(state, SourceState):
                self._handles[path][target] = self._handles[path][source]

    def close(self) -> None:
        self._handles.clear()
        self._compiled.clear()

    def _inputs(self, step: Step) -> dict[int, Array]:
        columns = {name: getattr(step, name) for name in self._graph.inputs}
        if columns["token_types"] is None:
            columns["token_types"] = np.zeros_like(step.ids)
        return {value.id: columns[name] for name, value in self._graph.inputs.items()}

    def _compile(self, entry: str, outputs: tuple[str, ...]) -> list[Instruction]:
        named = self._graph.entries[entry].outputs
        wanted = {name: named[name] for name in outputs}
        nodes = needed(list(flatten(self._graph, entry)), wanted)
        keep = {value.id for value in (*wanted.values(), *self._graph.inputs.values())}
        last_use: dict[int, int] = {}
        for place, node in enumerate(nodes):
            for item in (*node.inputs, *node.outputs):
                if isinstance(item, Value):
                    last_use[item.id] = place
        dead: dict[int, list[int]] = {}
        for slot, place in last_use.items():
            if slot not in keep:
                dead.setdefault(place, []).append(slot)
        return [self._instruction(node, tuple(dead.get(i, ()))) for i, node in enumerate(nodes)]

    def _instruction(self, node: Node, dead: tuple[int, ...]) -> Instruction:
        inputs = tuple(self._bind(item) for item in node.inputs)
        attrs = {k: self._rule(v) if isinstance(v, Function) else v for k, v in node.attrs.items()}
        outputs = tuple(value.id for value in node.outputs)
        label = node.op, re.sub(r"\d+", "*", node.path)
        return Instruction(self._kernel(node.op), inputs, attrs, outputs, dead, label)

    def _bind(self, item: Operand) -> Any:
        if isinstance(item, Value):
            return item.id
        return None if item is None else self._handles[item.path]

    def _rule(self, function: Function) -> Callable[..., Array]:
        """A score rule: run for each query row inside attention."""
        body = [self._instruction(node, ()) for node in function.nodes]
        names = [argument.id for argument in function.arguments]

        def rule(*columns: Array) -> Array:
            slots = dict(zip(names, columns, strict=True))
            for step in body:
                arguments = [slots[i] if isinstance(i, int) else i for i in step.inputs]
                slots[step.outputs[0]] = step.run(*arguments, **step.attrs)
            return slots[function.results[0].id]

        return rule


def _operands(node: Node) -> list[Operand]:
    inner = [n for v in node.attrs.values() if isinstance(v, Function) for n in v.nodes]
    return [item for n in (node, *inner) for item in n.inputs]
