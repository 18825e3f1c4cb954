"""Sums, means, maxima and softmax of rows."""

from __future__ import annotations

from inferflow_backends.cpu.kernels import reduce as kernels
from inferflow_backends.cpu.lower import Lowering
from inferflow_core.graph import Node, Value


def sum(low: Lowering, node: Node) -> bool:
    (x,) = node.inputs
    size = low.size_word(node.outputs[0])
    if not isinstance(x, Value) or size is None or x.dtype != "float":
        return False
    a, c, width = low.input(x), low.output(node.outputs[0]), x.axes[-1].length
    low.row(kernels.op_reduce, [*size, width, a, kernels.CODES[node.op], c], [a], [c])
    return True


max = mean = sum


def softmax(low: Lowering, node: Node) -> bool:
    (x,) = node.inputs
    size = low.size_word(node.outputs[0])
    if not isinstance(x, Value) or size is None:
        return False
    a, c, width = low.input(x), low.output(node.outputs[0]), x.axes[-1].length
    rows = size[1] // width
    words = [size[0], rows, width, a, c]
    low.row(kernels.op_softmax, words, [a], [c], split=(size[0], rows, width))
    return True
