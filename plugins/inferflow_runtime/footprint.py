"""What a program will hold: the backend's word, or float32 everywhere."""

from collections.abc import Mapping
from math import prod

from inferflow_core.block import SourceState, TokenState
from inferflow_core.catalog import Catalog
from inferflow_core.graph import Function, Graph, Node, ParamRef, Value, flatten
from inferflow_core.interfaces import (
    Backend,
    Footprint,
    FootprintBackend,
    Held,
    Sizes,
    Weight,
)
from inferflow_core.optable import OpTable
from inferflow_core.passes.decompose import decompose

TEMPORARIES = 3
"""Numbers that an op has in hand at once for each number of its result, in numpy's arithmetic."""


def footprint_of(
    backend: Backend, graph: Graph, weights: Mapping[str, Weight], catalog: Catalog
) -> Footprint:
    if isinstance(backend, FootprintBackend):
        return backend.footprint(graph, weights)
    return PlainFootprint(decompose(graph, OpTable(catalog), backend.native()), weights)


class PlainFootprint:
    """float32 weights and caches; a step's values live until their last reader has run."""

    def __init__(self, graph: Graph, weights: Mapping[str, Weight]) -> None:
        self._graph = graph
        self._nodes = [list(flatten(graph, entry)) for entry in graph.entries]
        used = {item for nodes in self._nodes for node in nodes for item in _params(node)}
        self.weights = {path: Held("f32", 4 * prod(weights[path].shape)) for path in sorted(used)}

    def cache(self, sizes: Sizes) -> int:
        pages = 0
        for state in self._graph.states.values():
            count = sizes.source_pages if isinstance(state, SourceState) else sizes.pages
            pages += count * prod(axis.length for axis in state.axes)
        return 4 * pages * sizes.page_tokens

    def scratch(self, sizes: Sizes) -> int:
        """The most that is alive at once, the op in hand with its temporaries; behind attention,
        the keys and values of one sequence."""
        limits = {"T": sizes.max_tokens, "R": sizes.max_tokens, "S": sizes.max_sequences}
        limits["C"] = sizes.context
        rows = [state for state in self._graph.states.values() if isinstance(state, TokenState)]
        widest = max((prod(axis.length for axis in state.axes) for state in rows), default=0)
        return max(_peak(nodes, limits) for nodes in self._nodes) + 2 * 4 * sizes.context * widest


def _peak(nodes: list[Node], limits: Mapping[str, int]) -> int:
    last = {
        item.id: place
        for place, node in enumerate(nodes)
        for item in (*node.inputs, *node.outputs)
        if isinstance(item, Value)
    }
    alive: dict[int, int] = {}
    peak = 0
    for place, node in enumerate(nodes):
        made = {value.id: _bytes(value, limits) for value in node.outputs}
        alive |= made
        peak = max(peak, sum(alive.values()) + (TEMPORARIES - 1) * sum(made.values()))
        alive = {id: size for id, size in alive.items() if last[id] > place}
    return peak


def _bytes(value: Value, limits: Mapping[str, int]) -> int:
    sizes = [axis.size for axis in value.axes]
    return 4 * prod(limits.get(size, 1) if isinstance(size, str) else size for size in sizes)


def _params(node: Node) -> list[str]:
    rules = [rule for rule in node.attrs.values() if isinstance(rule, Function)]
    inner = [each for rule in rules for each in rule.nodes]
    operands = [item for each in (node, *inner) for item in each.inputs]
    return [item.path for item in operands if isinstance(item, ParamRef)]
