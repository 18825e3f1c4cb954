"""fuse_gates: the two linears of a gated network and their product become `gated_linear`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from inferflow_core.graph import Call, Graph, Node, Value
from inferflow_core.passes.rewrite import Steps, rewritten, same_shape


def fuse_gates(graph: Graph) -> Graph:
    """glu(linear(x, gate), linear(x, up)) becomes `gated_linear`.

    So neither product is written and read again. Where somebody else reads one, all stays."""
    return rewritten(graph, _fused)


def _fused(steps: Steps, reads: Counter[int]) -> Iterable[Node | Call]:
    products: dict[int, Node] = {}
    done: list[Node | Call] = []
    for step in steps:
        if isinstance(step, Node) and step.op == "linear" and reads[step.outputs[0].id] == 1:
            products[step.outputs[0].id] = step
        elif isinstance(step, Node) and step.op == "glu":
            pair = [products.get(item.id) for item in step.inputs if isinstance(item, Value)]
            gate, up = pair if len(pair) == 2 else (None, None)
            if gate and up and _are_one(gate, up):
                (x, weight, bias), (_, other, shift) = gate.inputs, up.inputs
                done = [each for each in done if each is not gate and each is not up]
                step = replace(step, op="gated_linear", inputs=(x, weight, other, bias, shift))
        done.append(step)
    return done


def _are_one(gate: Node, up: Node) -> bool:
    return gate.inputs[0] == up.inputs[0] and same_shape(gate.outputs[0], up.outputs[0])
