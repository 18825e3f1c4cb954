"""Ops that move numbers: rows by index, columns, and joined columns."""

from __future__ import annotations

from inferflow_backends.cpu.kernels import copies as kernels
from inferflow_backends.cpu.lower import Lowering
from inferflow_core.graph import Node, Value


def select(low: Lowering, node: Node) -> bool:
    (x, index), out = node.inputs, node.outputs[0]
    size = low.size_word(out)
    if not (isinstance(x, Value) and isinstance(index, Value)) or size is None:
        return False
    if x.dtype == "bool":
        return False
    a, b, c = low.input(x), low.input(index), low.output(out)
    low.row(kernels.op_select, [*size, a, b, c], [a, b], [c])
    return True


def slice(low: Lowering, node: Node) -> bool:
    return join(low, node, node.attrs["start"])


def concat(low: Lowering, node: Node) -> bool:
    return join(low, node, 0)


def join(low: Lowering, node: Node, start: int) -> bool:
    """The inputs' columns from `start` on, as many as fit."""
    out = node.outputs[0]
    size = low.size_word(out)
    parts = [x for x in node.inputs if isinstance(x, Value) and x.dtype != "bool"]
    if size is None or len(parts) < len(node.inputs):
        return False
    width = out.axes[-1].length
    c, column = low.output(out), 0
    for first in range(0, len(parts), kernels.PARTS):
        some = [(low.input(x), x) for x in parts[first : first + kernels.PARTS]]
        words = [size[0], size[1] // width, c + 4 * column, width, len(some)]
        for home, x in some:
            count = min(width, x.axes[-1].length)
            words += [home + 4 * start, x.axes[-1].length, count]
            column += count
        low.row(kernels.op_join, words, [home for home, _ in some], [c])
    return True
