"""What a program of this backend will hold: `program.py` without the weights and the kernels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from math import prod
from typing import Any

from inferflow_backends.cpu.buffers import ALIGNMENT, SLACK
from inferflow_backends.cpu.cache_formats import FORMATS, TILE, padded
from inferflow_backends.cpu.layouts import DENSE
from inferflow_backends.cpu.lives import VIEWS, lives
from inferflow_backends.cpu.memory import (
    Memory,
    column_sizes,
    held_as,
    matrices,
    numbers,
    packs,
    pages_of,
    parts_bytes,
    thread_scratch,
)
from inferflow_backends.cpu.native_states import native_states
from inferflow_backends.cpu.score_table import by_distance, rule_key, table_shape
from inferflow_backends.cpu.threads import default_threads
from inferflow_core.graph import Function, Graph, Node, ParamRef, Value, flatten, needed
from inferflow_core.interfaces import Held, Sizes, Weight

Prepared = Callable[[Collection[str]], Graph]
OUTPUTS = ((), ("logits",))
"""What an engine asks of a step: nothing within a prompt, logits at its end."""


class CPUFootprint:
    """`weights` may be held in two forms, where a numpy reference reads one that a kernel reads.

    `prepared` gives the graph as it is compiled without some passes; of these only buffers depend.
    """

    def __init__(self, prepared: Prepared, weights: Mapping[str, Weight]) -> None:
        self._prepared = prepared
        self._graph = prepared(())
        self._params = weights
        self._nodes = _flat(self._graph)
        self.weights = self._weights()

    def _weights(self) -> dict[str, Held]:
        forms: dict[str, set[Held]] = {}
        large = packs(self._params)
        for node in (node for nodes in self._nodes.values() for node in nodes):
            packed = matrices([node])
            for path in _params(node):
                weight = self._params[path]
                held = Held("f32", 4 * prod(weight.shape))
                if path in packed:
                    held = Held(*held_as(weight, packs=large))
                forms.setdefault(path, set()).add(held)
        return {
            path: Held(
                " + ".join(sorted({each.format for each in held})),
                sum(each.nbytes for each in held),
            )
            for path, held in forms.items()
        }

    def cache(self, sizes: Sizes) -> int:
        form = FORMATS[Memory(self._params, self._graph.states, sizes).cache]
        layouts = native_states([node for nodes in self._nodes.values() for node in nodes])
        total = 0
        for path, state in self._graph.states.items():
            lengths = [axis.length for axis in state.axes]
            slot = 4 * prod(lengths)
            if path in layouts:
                slot = lengths[0] * form.tile_bytes(layouts[path], lengths[1]) // TILE
            total += slot * pages_of(state, sizes) * sizes.page_tokens
        return total

    def scratch(self, sizes: Sizes) -> int:
        """Buffers of the two steps that an engine runs, as if every value were as long as it may
        be; tables of rotations, rooms of the threads, columns."""
        bodies = _flat(self._prepared(sizes.skip_passes)) if sizes.skip_passes else self._nodes
        nodes = [node for each in bodies.values() for node in each]
        total = sum(self._buffers(bodies, outputs, sizes) for outputs in OUTPUTS)
        total += thread_scratch(nodes) * (sizes.threads or default_threads())
        total += 4 * sum(column_sizes(sizes).values())
        turns = {
            (node.attrs["frequencies"], node.attrs["scale"]) for node in nodes if node.op == "rope"
        }
        total += sum(2 * 4 * sizes.context * len(frequencies) for frequencies, _ in turns)
        mixed = [node.outputs[0].axes for node in nodes if node.op == "attention"]
        rooms = [
            parts_bytes(sizes, heads.length, padded(width.length)) for _, heads, width in mixed
        ]
        return total + max(rooms, default=0) + self._score_tables(nodes, sizes)

    def _score_tables(self, nodes: list[Node], sizes: Sizes) -> int:
        """Of the score rules that the kernel has as tables, each once."""
        tables: dict[Any, int] = {}
        for node in nodes:
            rule, causal = node.attrs.get("bias"), node.attrs.get("causal")
            if node.op == "attention" and isinstance(rule, Function) and by_distance(rule):
                heads = node.outputs[0].axes[1].length
                shape = table_shape(heads, sizes.context, causal=bool(causal))
                tables[rule_key(rule, heads, causal=bool(causal))] = 4 * prod(shape)
        return sum(tables.values())

    def _buffers(
        self, bodies: Mapping[str, list[Node]], outputs: tuple[str, ...], sizes: Sizes
    ) -> int:
        """What `Arena` comes to: a buffer for each value, freed ones used again."""
        arena = _Sizes()
        for entry, body in self._graph.entries.items():
            named = {name: body.outputs[name] for name in outputs if name in body.outputs}
            nodes = needed(bodies[entry], named)
            self._fill(arena, nodes, [value.id for value in named.values()], sizes)
        return arena.total

    def _fill(self, arena: _Sizes, nodes: list[Node], keep: list[int], sizes: Sizes) -> None:
        limits = {"T": sizes.max_tokens, "R": sizes.max_tokens, "S": sizes.max_sequences}
        deaths = lives(nodes, keep)
        owners: dict[int, int] = {}
        buffers: dict[int, list[int]] = {}
        made: set[tuple[int, int]] = set()

        def capacity(value: Value) -> int:
            size, count = numbers(value)
            return count * limits.get(size, 1)

        for place, node in enumerate(nodes):
            x = node.inputs[0] if node.inputs else None
            out = node.outputs[0] if node.outputs else None
            if node.op in VIEWS and isinstance(x, Value) and out:
                owners[out.id] = owners.get(x.id, x.id)
                continue
            for value, sizes_of, key in self._forms(node, capacity):
                owner = owners.get(value.id, value.id)
                if owner in buffers and (owner, key) not in made:
                    made.add((owner, key))
                    buffers[owner] += [arena.take(size) for size in sizes_of]
            for value in node.outputs:
                buffers[value.id] = [arena.take(4 * capacity(value))]
            if out and len({self.weights[path].format for path in matrices([node])}) > 1:
                # A gated pair of two formats: both products, for as long as the op takes.
                for size in [arena.take(4 * capacity(out)) for _ in range(2)]:
                    arena.give_back(size)
            for owner in deaths.get(place, ()):
                for size in buffers.pop(owner, ()):
                    arena.give_back(size)

    def _forms(
        self, node: Node, capacity: Callable[[Value], int]
    ) -> Iterator[tuple[Value, list[int], int]]:
        """Value, bytes, and a key: what is made of an input for a product, once for all of them.
        See `lowerings/linear.py` and `experts.py`."""
        x, read = node.inputs[0] if node.inputs else None, matrices([node])
        if not isinstance(x, Value) or not read:
            return
        width = x.axes[-1].length
        packed = any(self.weights[path].format not in DENSE for path in read)
        if packed:
            yield x, [capacity(x) + 16 * width] * 2, 0
        index = node.inputs[2]
        if node.op == "expert_linear" and isinstance(index, Value):
            pairs, experts = capacity(index), self._params[read[0]].shape[0]
            yield index, [4 * (pairs + 2 * experts + 1)], 0
            yield (
                x,
                [(pairs + 16) * width] * 2 if packed else [4 * (pairs + 16) * width],
                2 * index.id + packed,
            )


class _Sizes:
    """`buffers.Arena` without the buffers."""

    def __init__(self) -> None:
        self._free: list[int] = []
        self.total = 0

    def take(self, count: int) -> int:
        fitting = [size for size in self._free if size >= count]
        if fitting:
            self._free.remove(min(fitting))
            return min(fitting)
        self.total += count + ALIGNMENT + SLACK
        return count

    def give_back(self, size: int) -> None:
        self._free.append(size)


def _flat(graph: Graph) -> dict[str, list[Node]]:
    return {entry: list(flatten(graph, entry)) for entry in graph.entries}


def _params(node: Node) -> list[str]:
    rules = [rule for rule in node.attrs.values() if isinstance(rule, Function)]
    inner = [each for rule in rules for each in rule.nodes]
    operands = [item for each in (node, *inner) for item in each.inputs]
    return [item.path for item in operands if isinstance(item, ParamRef)]
