"""top_k and gather."""

from __future__ import annotations

from inferflow_backends.cpu.kernels import choose as kernels
from inferflow_backends.cpu.lower import Lowering
from inferflow_backends.cpu.memory import numbers
from inferflow_core.graph import Node, Value


def top_k(low: Lowering, node: Node) -> bool:
    (x,), (values, index) = node.inputs, node.outputs
    size = low.size_word(values)
    if not isinstance(x, Value) or size is None:
        return False
    k, width = node.attrs["k"], x.axes[-1].length
    a, b, c = low.input(x), low.output(values), low.output(index)
    low.row(kernels.op_top_k, [size[0], size[1] // k, width, k, a, b, c], [a], [b, c])
    return True


def gather(low: Lowering, node: Node) -> bool:
    (x, index), out = node.inputs, node.outputs[0]
    size = low.size_word(out)
    if not (isinstance(x, Value) and isinstance(index, Value)) or size is None:
        return False
    k, width = out.axes[-1].length, x.axes[-1].length
    lead = [axis.size for axis in out.axes[:-1]]
    one = numbers(x) == ("", width)
    same = lead == [axis.size for axis in x.axes[:-1]]
    indexed = lead == [axis.size for axis in index.axes[:-1]]
    if x.dtype == "bool" or not indexed or not (one or same):
        return False
    a, b, c = low.input(x), low.input(index), low.output(out)
    words = [size[0], size[1] // k, width, 0 if one else width, k, a, b, c]
    low.row(kernels.op_gather, words, [a, b], [c])
    return True
