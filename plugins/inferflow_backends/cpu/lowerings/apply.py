"""Functions of one number that are no activation."""

from __future__ import annotations

from inferflow_backends.cpu.kernels import apply as kernels
from inferflow_backends.cpu.kernels.functions import CODES
from inferflow_backends.cpu.lower import Lowering
from inferflow_backends.cpu.tape import float_word
from inferflow_core.graph import Node, Value


def apply(low: Lowering, node: Node) -> bool:
    (x,), out = node.inputs, node.outputs[0]
    size = low.size_word(out)
    if not isinstance(x, Value) or size is None or x.dtype == "bool":
        return False
    a, c = low.input(x), low.output(out)
    high = node.attrs.get("cap", node.attrs.get("high", 0.0))
    words = [*size, a, CODES[node.op], float_word(node.attrs.get("low", 0.0)), float_word(high), c]
    split = (size[0], size[1] // 32, 32) if size[1] % 32 == 0 else None
    low.row(kernels.op_apply, words, [a], [c], split=split)
    return True


exp = log = sqrt = erf = sin = cos = softcap = clamp = to_float = to_int = apply
