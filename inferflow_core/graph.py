"""The traced graph: plain, immutable, picklable data.

A graph has entries (`step`, `encode`). An entry's body is a list of Nodes and Calls; a Call runs a
Function (a layer traced once) with a path put in front of its local params and states.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, cast

from inferflow_core.axes import Axes, Axis, show
from inferflow_core.block import Param, State

SHOWN = 4
"""Numbers of a table in a printed graph."""


@dataclass(frozen=True)
class Value:
    """A traced tensor: `id` is unique in its graph; `dtype` is float, int or bool."""

    id: int
    axes: Axes
    dtype: str

    def __str__(self) -> str:
        return f"%{self.id}:{show(self.axes)}"


@dataclass(frozen=True)
class ParamRef:
    """A weight. `local` paths are below the Call that runs the Function."""

    path: str
    local: bool = False

    def __str__(self) -> str:
        return f"{'.' if self.local else ''}{self.path}"


@dataclass(frozen=True)
class StateRef:
    """A cache, written by `append` and read by `attention`."""

    path: str
    local: bool = False

    def __str__(self) -> str:
        return f"{'.' if self.local else ''}{self.path}"


Operand = Value | ParamRef | StateRef | None


@dataclass(frozen=True)
class Node:
    """One op. `path` is the block that asked for it."""

    op: str
    inputs: tuple[Operand, ...]
    attrs: Mapping[str, Any]
    outputs: tuple[Value, ...]
    path: str

    def __str__(self) -> str:
        outs = ", ".join(map(str, self.outputs))
        ins = ", ".join(map(str, self.inputs))
        attrs = "".join(f" {k}={_written(v)}" for k, v in self.attrs.items() if v is not None)
        return f"{outs + ' = ' if outs else ''}{self.op}({ins}){attrs}"


def _written(attr: Any) -> str:
    """An attribute in a line: axes by their sizes, long tables by their beginning, rules as what
    they are."""
    if isinstance(attr, Function):
        return "; ".join(map(str, attr.nodes))
    if not isinstance(attr, tuple):
        return str(attr)
    items = cast("tuple[Any, ...]", attr)
    if items and all(isinstance(item, Axis) for item in items):
        return show(items)
    more = f", … {len(items)} in all" if len(items) > SHOWN else ""
    return f"({', '.join(map(str, items[:SHOWN]))}{more})"


@dataclass(frozen=True)
class Function:
    """A body traced once and called often."""

    name: str
    arguments: tuple[Value, ...]
    nodes: tuple[Node, ...]
    results: tuple[Value, ...]


@dataclass(frozen=True)
class Call:
    """Runs a Function; `prefix` is put in front of its local params and states."""

    function: str
    arguments: tuple[Value, ...]
    results: tuple[Value, ...]
    prefix: str

    def __str__(self) -> str:
        outs = ", ".join(map(str, self.results))
        return f"{outs} = call {self.function}({', '.join(map(str, self.arguments))}) {self.prefix}"


@dataclass(frozen=True)
class Body:
    """An entry: what it does, and its named outputs."""

    steps: tuple[Node | Call, ...]
    outputs: Mapping[str, Value]


@dataclass(frozen=True)
class Graph:
    """A whole model, traced. `inputs` are the context's columns by name."""

    inputs: Mapping[str, Value]
    functions: Mapping[str, Function]
    entries: Mapping[str, Body]
    params: Mapping[str, Param]
    states: Mapping[str, State]
    name: str = field(default="model")

    def __str__(self) -> str:
        lines: list[str] = []
        for name, function in self.functions.items():
            lines.append(f"function {name}({', '.join(map(str, function.arguments))}):")
            lines += [f"  {node}" for node in function.nodes]
            lines.append(f"  return {', '.join(map(str, function.results))}")
        for name, body in self.entries.items():
            lines.append(f"entry {name}:")
            lines += [f"  {step}" for step in body.steps]
            lines.append("  return " + ", ".join(f"{k}={v}" for k, v in body.outputs.items()))
        return "\n".join(lines)


def flatten(graph: Graph, entry: str) -> Iterator[Node]:
    """The nodes of an entry in order, Calls expanded: values of each Call get ids of their own."""
    body = graph.entries[entry]
    fresh = count(last_id(graph) + 1)
    for step in body.steps:
        if isinstance(step, Node):
            yield step
            continue
        function = graph.functions[step.function]
        names = {a.id: v for a, v in zip(function.arguments, step.arguments, strict=True)}
        names |= {r.id: v for r, v in zip(function.results, step.results, strict=True)}
        for node in function.nodes:
            for output in node.outputs:
                if output.id not in names:
                    names[output.id] = replace(output, id=next(fresh))
            inputs = tuple(_rename(item, names, step.prefix) for item in node.inputs)
            outputs = tuple(names[output.id] for output in node.outputs)
            path = f"{step.prefix}.{node.path}" if node.path else step.prefix
            attrs = {k: _global(v, step.prefix) for k, v in node.attrs.items()}
            yield Node(node.op, inputs, attrs, outputs, path)


def _rename(item: Operand, names: Mapping[int, Value], prefix: str) -> Operand:
    if isinstance(item, Value):
        return names.get(item.id, item)
    if item is None or not item.local:
        return item
    return replace(item, path=f"{prefix}.{item.path}", local=False)


def _global(attr: Any, prefix: str) -> Any:
    """A score rule with the paths of its params made whole."""
    if not isinstance(attr, Function):
        return attr
    nodes = tuple(
        replace(node, inputs=tuple(_rename(item, {}, prefix) for item in node.inputs))
        for node in attr.nodes
    )
    return replace(attr, nodes=nodes)


def last_id(graph: Graph) -> int:
    """The highest id of a Value, so that a pass can go on counting."""
    steps = [step for body in graph.entries.values() for step in body.steps]
    nodes = [node for f in graph.functions.values() for node in f.nodes]
    nodes += [step for step in steps if isinstance(step, Node)]
    rules = [rule for node in nodes if isinstance(rule := node.attrs.get("bias"), Function)]
    values = [v for node in nodes for v in node.outputs]
    values += [v for rule in rules for node in rule.nodes for v in node.outputs]
    values += [v for f in (*graph.functions.values(), *rules) for v in f.arguments]
    values += [v for step in steps if isinstance(step, Call) for v in step.results]
    return max((v.id for v in (*values, *graph.inputs.values())), default=0)


def reads_whole(graph: Graph, entry: str) -> bool:
    """Whether a sequence's rows depend on its later ones, so that it cannot come in parts."""
    return any(
        node.op == "pool"
        or (node.op == "attention" and not node.attrs["causal"] and not _of_source(graph, node))
        for node in flatten(graph, entry)
    )


def token_types(graph: Graph, entry: str) -> int | None:
    """How many types of tokens an entry has rows for; None: it looks at none."""
    column = graph.inputs["token_types"]
    tables = (
        node.inputs[0]
        for node in flatten(graph, entry)
        if node.op == "rows" and node.inputs[1] == column
    )
    rows = [graph.params[table.path].shape[0] for table in tables if isinstance(table, ParamRef)]
    return min(rows, default=None)


def _of_source(graph: Graph, node: Node) -> bool:
    """Whether an attention looks at the rows of an encoder that has already run."""
    return node.inputs[5] == graph.inputs["source_lengths"]


def needed(nodes: list[Node], outputs: Mapping[str, Value]) -> list[Node]:
    """The nodes that the outputs or a cache depend on, in order."""
    wanted = {value.id for value in outputs.values()}
    kept: list[Node] = []
    for node in reversed(nodes):
        if node.op == "append" or any(value.id in wanted for value in node.outputs):
            kept.append(node)
            wanted.update(item.id for item in node.inputs if isinstance(item, Value))
    return kept[::-1]
