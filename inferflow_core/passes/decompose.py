"""Decompose: rewrites every op that a backend does not run natively into those that it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferflow_core.block import Param, State
from inferflow_core.graph import Body, Call, Function, Graph, Node, Operand, Value, last_id
from inferflow_core.ops import PRIMITIVES
from inferflow_core.optable import OpTable
from inferflow_core.tracer import Traced, Tracer


def decompose(graph: Graph, table: OpTable, native: frozenset[str]) -> Graph:
    """The same graph in ops of `native`, primitives, and third-party ops that only have a
    numpy reference."""
    rewriter = _Rewriter(table, native, graph.params, graph.states, last_id(graph))
    calls = [step for b in graph.entries.values() for step in b.steps if isinstance(step, Call)]
    prefixes = {call.function: call.prefix for call in calls}
    functions = {
        name: replace(f, nodes=rewriter.nodes(f.nodes, prefixes.get(name, "")))
        for name, f in graph.functions.items()
    }
    entries = {name: Body(rewriter.steps(b.steps), b.outputs) for name, b in graph.entries.items()}
    return replace(graph, functions=functions, entries=entries)


class _Rewriter(Tracer):
    """Re-traces decompositions in place of the nodes they stand for."""

    def __init__(
        self,
        table: OpTable,
        native: frozenset[str],
        params: Mapping[str, Param],
        states: Mapping[str, State],
        last_id: int,
    ) -> None:
        super().__init__(table, params, states)
        self._native = native | PRIMITIVES
        self._last_id = last_id
        self._local = ""

    def nodes(self, nodes: tuple[Node, ...], prefix: str | None = None) -> tuple[Node, ...]:
        """`prefix`: of any Call of the Function, to know the shapes of its local params."""
        if prefix is not None:
            self._local = prefix
        return tuple(step for step in self.steps(nodes) if isinstance(step, Node))

    def steps(self, steps: tuple[Node | Call, ...]) -> tuple[Node | Call, ...]:
        done: list[Node | Call] = []
        for step in steps:
            done += [step] if isinstance(step, Call) else self._expand(step)
        return tuple(done)

    def _expand(self, node: Node) -> list[Node]:
        bias = node.attrs.get("bias")
        if isinstance(bias, Function):
            bias = replace(bias, nodes=self.nodes(bias.nodes))
            return [replace(node, attrs={**node.attrs, "bias": bias})]
        decomposition = None if node.op in self._native else self._table.get(node.op).decompose
        if decomposition is None:
            return [node]
        self._steps, self._path = [], node.path
        inputs = [Traced(i, self) if isinstance(i, Value) else i for i in node.inputs]
        result: Any = decomposition(self, *inputs, **node.attrs)
        inner = self.nodes(tuple(s for s in self._steps if isinstance(s, Node)))
        return _deliver(inner, result.value, node.outputs[0])

    def _typed(self, item: Any) -> Any:
        if getattr(item, "local", False):
            item = replace(item, path=f"{self._local}.{item.path}", local=False)
        return super()._typed(item)


def _deliver(nodes: tuple[Node, ...], result: Value, wanted: Value) -> list[Node]:
    """The nodes, with `result` called by the id that the rest of the graph knows."""
    names = {result.id: wanted}

    def known(item: Operand) -> Operand:
        return names.get(item.id, item) if isinstance(item, Value) else item

    return [
        replace(
            node,
            inputs=tuple(known(item) for item in node.inputs),
            outputs=tuple(names.get(v.id, v) for v in node.outputs),
        )
        for node in nodes
    ]
