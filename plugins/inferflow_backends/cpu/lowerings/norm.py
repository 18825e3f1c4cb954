"""rms_norm and layer_norm."""

from __future__ import annotations

from math import prod
from typing import Any

from inferflow_backends.cpu.buffers import address
from inferflow_backends.cpu.kernels import norm as kernels
from inferflow_backends.cpu.lower import Lowering
from inferflow_backends.cpu.tape import float_word
from inferflow_core.graph import Node, ParamRef, Value


def rms_norm(low: Lowering, node: Node) -> bool:
    return norm(low, node, kernels.op_rms_norm)


def layer_norm(low: Lowering, node: Node) -> bool:
    return norm(low, node, kernels.op_layer_norm)


def norm(low: Lowering, node: Node, op: Any) -> bool:
    """The params are one row, or a row for each of the last axis but one, which take turns."""
    x, *params = node.inputs
    size = low.size_word(node.outputs[0])
    if not isinstance(x, Value) or size is None:
        return False
    numbers = [low.memory.plain(p.path) if isinstance(p, ParamRef) else None for p in params]
    given = {each.shape for each in numbers if each is not None}
    if len(given) > 1 or any(len(shape) > 2 for shape in given):
        return False
    width = x.axes[-1].length
    turns = max((prod(shape) // width for shape in given), default=1)
    a, c = low.input(x), low.output(node.outputs[0])
    words = [size[0], size[1] // width, width, a]
    words += [0 if each is None else address(each) for each in numbers]
    words += [float_word(node.attrs["eps"]), int(node.attrs["unit_offset"]), c, turns]
    low.row(op, words, [a], [c], split=(size[0], size[1] // width, width))
    return True
