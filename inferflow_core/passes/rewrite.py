"""What passes have in common: going through the bodies of a graph, and who reads what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from inferflow_core.graph import Body, Call, Graph, Node, Value

Steps = Sequence[Node | Call]
Rewrite = Callable[[Steps, Counter[int]], Iterable[Node | Call]]
"""The steps of a body and how often each value is read -> the steps that take their place. They
give the same values to whoever is outside."""


def rewritten(graph: Graph, rewrite: Rewrite) -> Graph:
    """The graph with every function's and entry's steps rewritten. Rules of scores stay."""
    functions = {
        name: replace(
            function,
            nodes=tuple(
                step
                for step in rewrite(function.nodes, reads(function.nodes, function.results))
                if isinstance(step, Node)
            ),
        )
        for name, function in graph.functions.items()
    }
    entries = {
        name: Body(tuple(rewrite(b.steps, reads(b.steps, b.outputs.values()))), b.outputs)
        for name, b in graph.entries.items()
    }
    return replace(graph, functions=functions, entries=entries)


def reads(steps: Steps, results: Iterable[Value]) -> Counter[int]:
    """Value id -> how many steps and results read it."""
    found: Counter[int] = Counter(value.id for value in results)
    for step in steps:
        items = step.inputs if isinstance(step, Node) else step.arguments
        found.update(item.id for item in items if isinstance(item, Value))
    return found


def same_shape(x: Value, y: Value) -> bool:
    """Whether two values have the same sizes, whatever their axes are called."""
    return [axis.size for axis in x.axes] == [axis.size for axis in y.axes]
