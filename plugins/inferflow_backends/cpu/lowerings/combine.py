"""combine and pool."""

from __future__ import annotations

from inferflow_backends.cpu.kernels import combine as kernels
from inferflow_backends.cpu.lower import Lowering
from inferflow_core.graph import Node, Value


def combine(low: Lowering, node: Node) -> bool:
    (x, weight), out = node.inputs, node.outputs[0]
    size = low.size_word(out)
    if not (isinstance(x, Value) and isinstance(weight, Value)) or size is None:
        return False
    a, b, c = low.input(x), low.input(weight), low.output(out)
    words = [size[0], x.axes[1].length, x.axes[2].length, a, b, c]
    low.row(kernels.op_combine, words, [a, b], [c])
    return True


def pool(low: Lowering, node: Node) -> bool:
    x, out = node.inputs[0], node.outputs[0]
    if not isinstance(x, Value):
        return False
    a, c = low.input(x), low.output(out)
    words = [kernels.POOLS[node.attrs["how"]], x.axes[1].length, a, c]
    low.row(kernels.op_pool, words, [a], [c])
    return True
