"""share_inputs: linears of one input stand together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from inferflow_core.graph import Call, Graph, Node, Value
from inferflow_core.passes.rewrite import Steps, rewritten

OPS = ("linear", "gated_linear")


def share_inputs(graph: Graph) -> Graph:
    """Linears of one input stand together: queries, keys and values.

    What a backend makes of the input is made once, and nothing has to wait between them."""
    return rewritten(graph, _gathered)


def _gathered(steps: Steps, reads: Counter[int]) -> Iterable[Node | Call]:
    readers: dict[int, list[Node]] = {}
    for step in steps:
        if isinstance(step, Node) and step.op in OPS and isinstance(step.inputs[0], Value):
            readers.setdefault(step.inputs[0].id, []).append(step)
    for step in steps:
        if isinstance(step, Node) and step.op in OPS and isinstance(step.inputs[0], Value):
            yield from readers.pop(step.inputs[0].id, ())
        else:
            yield step
