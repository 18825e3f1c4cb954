"""rms_norm and layer_norm."""

from __future__ import annotations

from inferflow_backends.cpu.buffers import address
from inferflow_backends.cpu.kernels import norm
from inferflow_backends.cpu.lower import Lowering
from inferflow_backends.cpu.tape import float_word
from inferflow_core.graph import Node, ParamRef, Value


def rms_norm(low: Lowering, node: Node) -> bool:
    x, weight = node.inputs
    out = node.outputs[0]
    size = low.size_word(out)
    if not isinstance(x, Value) or size is None:
        return False
    width = x.axes[-1].length
    scale = 0
    if isinstance(weight, ParamRef):
        numbers = low.memory.plain(weight.path)
        if numbers.ndim != 1:
            return False
        scale = address(numbers)
    a, c = low.input(x), low.output(out)
    eps, offset = float_word(node.attrs["eps"]), int(node.attrs["unit_offset"])
    words = [size[0], size[1] // width, width, a, scale, eps, offset, c]
    split = (size[0], size[1] // width, width)
    low.row(norm.op_rms_norm, words, [a], [c], split=split)
    return True


def layer_norm(low: Lowering, node: Node) -> bool:
    x, weight, bias = node.inputs
    size = low.size_word(node.outputs[0])
    if not isinstance(x, Value) or size is None:
        return False
    params = [low.memory.plain(p.path) for p in (weight, bias) if isinstance(p, ParamRef)]
    if any(numbers.ndim != 1 for numbers in params):
        return False
    width = x.axes[-1].length
    scale, shift = (
        address(low.memory.plain(p.path)) if isinstance(p, ParamRef) else 0 for p in (weight, bias)
    )
    a, c = low.input(x), low.output(node.outputs[0])
    eps, offset = float_word(node.attrs["eps"]), int(node.attrs["unit_offset"])
    words = [size[0], size[1] // width, width, a, scale, shift, eps, offset, c]
    split = (size[0], size[1] // width, width)
    low.row(norm.op_layer_norm, words, [a], [c], split=split)
    return True
