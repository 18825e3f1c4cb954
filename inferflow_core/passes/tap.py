"""Tap: what goes between the layers, as outputs."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from inferflow_core.axes import OUT_ROWS
from inferflow_core.graph import Body, Call, Graph, Node, Value, last_id


def tap(graph: Graph) -> Graph:
    """The same graph whose entries also have the outputs `hidden.0` (what goes into the first
    layer) to `hidden.N` (what comes out of the last one, before a norm after it), each
    float [R, hidden] for the rows of `out_rows`. `needed` leaves out those that nobody asks for.
    """
    ids = count(last_id(graph) + 1)
    rows = graph.inputs["out_rows"]

    def pick(x: Value) -> Node:
        picked = replace(x, id=next(ids), axes=(OUT_ROWS, *x.axes[1:]))
        return Node("select", (x, rows), {}, (picked,), "")

    def tapped(body: Body) -> Body:
        calls = [step for step in body.steps if isinstance(step, Call)]
        between = [call.arguments[0] for call in calls] + [c.results[0] for c in calls[-1:]]
        nodes = [pick(x) for x in between]
        named = {f"hidden.{i}": node.outputs[0] for i, node in enumerate(nodes)}
        return Body((*body.steps, *nodes), {**body.outputs, **named})

    return replace(graph, entries={name: tapped(body) for name, body in graph.entries.items()})
