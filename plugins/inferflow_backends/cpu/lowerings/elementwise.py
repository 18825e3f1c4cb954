"""Ops that do the same to every number, and the choice of rows."""

from __future__ import annotations

from typing import Any

from inferflow_backends.cpu.kernels import elementwise
from inferflow_backends.cpu.lower import Lowering
from inferflow_core.graph import Node, Value


def add(low: Lowering, node: Node) -> bool:
    """Behind a linear the sum is made there."""
    x, y = node.inputs
    if isinstance(x, Value) and isinstance(y, Value):
        same = [axis.size for axis in x.axes] == [axis.size for axis in y.axes]
        for product, residual in ((y, x), (x, y)):
            if same and low.add_residual(product, residual, node.outputs[0]):
                return True
    return binary(low, node, elementwise.op_add)


def mul(low: Lowering, node: Node) -> bool:
    return binary(low, node, elementwise.op_mul)


def glu(low: Lowering, node: Node) -> bool:
    if node.attrs["act"] != "silu" or node.attrs["limit"] or node.attrs["up_offset"]:
        return False
    return binary(low, node, elementwise.op_silu_glu)


def select(low: Lowering, node: Node) -> bool:
    x, index = node.inputs
    out, column = node.outputs[0], low.column(index)
    size = low.size_word(out)
    if not isinstance(x, Value) or column is None or size is None or x.dtype != "float":
        return False
    a, c = low.input(x), low.output(out)
    low.row(elementwise.op_select, [*size, a, column, c], [a], [c])
    return True


def binary(low: Lowering, node: Node, op: Any) -> bool:
    """x op y of equal shapes."""
    x, y = node.inputs
    out = node.outputs[0]
    if not (isinstance(x, Value) and isinstance(y, Value)):
        return False
    shapes = {tuple(axis.size for axis in value.axes) for value in (x, y, out)}
    size = low.size_word(out)
    if len(shapes) > 1 or size is None or {x.dtype, y.dtype} != {"float"}:
        return False
    a, b, c = low.input(x), low.input(y), low.output(out)
    whole = size[1] % 32 == 0
    split = (size[0], size[1] // 32, 32) if whole else None
    low.row(op, [*size, a, b, c], [a, b], [c], split=split)
    return True
