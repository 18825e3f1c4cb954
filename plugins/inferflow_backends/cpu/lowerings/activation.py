"""An activation of every number, and a gate's product."""

from __future__ import annotations

from math import inf

from inferflow_backends.cpu.kernels import activation as kernels
from inferflow_backends.cpu.kernels.functions import CODES
from inferflow_backends.cpu.lower import Lowering
from inferflow_backends.cpu.tape import float_word
from inferflow_core.graph import Node, Value


def activation(low: Lowering, node: Node) -> bool:
    return activated(low, node, node.attrs["act"])


def tanh(low: Lowering, node: Node) -> bool:
    return activated(low, node, "tanh")


def sigmoid(low: Lowering, node: Node) -> bool:
    return activated(low, node, "sigmoid")


def activated(low: Lowering, node: Node, act: str) -> bool:
    (x,), out = node.inputs, node.outputs[0]
    size = low.size_word(out)
    if not isinstance(x, Value) or size is None:
        return False
    a, c = low.input(x), low.output(out)
    split = (size[0], size[1] // 32, 32) if size[1] % 32 == 0 else None
    low.row(kernels.op_activation, [*size, a, CODES[act], c], [a], [c], split=split)
    return True


def glu(low: Lowering, node: Node) -> bool:
    (gate, up), out = node.inputs, node.outputs[0]
    size = low.size_word(out)
    if not (isinstance(gate, Value) and isinstance(up, Value)) or size is None:
        return False
    if [axis.size for axis in gate.axes] != [axis.size for axis in up.axes]:
        return False
    limit = inf if node.attrs["limit"] is None else node.attrs["limit"]
    a, b, c = low.input(gate), low.input(up), low.output(out)
    words = [*size, a, b, CODES[node.attrs["act"]]]
    words += [float_word(limit), float_word(node.attrs["up_offset"]), c]
    split = (size[0], size[1] // 32, 32) if size[1] % 32 == 0 else None
    low.row(kernels.op_glu, words, [a, b], [c], split=split)
    return True
