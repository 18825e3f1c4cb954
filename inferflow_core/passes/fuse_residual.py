"""fuse_residual: a linear and the sum behind it become one op, `linear_add`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from inferflow_core.graph import Call, Graph, Node, Value
from inferflow_core.passes.rewrite import Steps, rewritten, same_shape


def fuse_residual(graph: Graph) -> Graph:
    """A product and the sum that alone reads it become `linear_add`.

    So it is not written and read again. Sums that stretch an operand stay."""
    return rewritten(graph, _fused)


def _fused(steps: Steps, reads: Counter[int]) -> Iterable[Node | Call]:
    products: dict[int, Node] = {}
    done: list[Node | Call] = []
    for step in steps:
        if isinstance(step, Node) and step.op == "linear" and reads[step.outputs[0].id] == 1:
            products[step.outputs[0].id] = step
        elif isinstance(step, Node) and step.op == "add":
            x, y = step.inputs
            for product, residual in ((y, x), (x, y)):
                if not (isinstance(product, Value) and isinstance(residual, Value)):
                    continue
                if product.id in products and same_shape(product, residual):
                    linear = products.pop(product.id)
                    done = [each for each in done if each is not linear]
                    inputs, outputs = (*linear.inputs, residual), step.outputs
                    step = replace(linear, op="linear_add", inputs=inputs, outputs=outputs)
                    break
        done.append(step)
    return done
