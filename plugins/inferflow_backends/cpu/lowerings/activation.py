"""An activation of every number."""

from __future__ import annotations

from inferflow_backends.cpu.kernels import activation as kernels
from inferflow_backends.cpu.lower import Lowering
from inferflow_core.graph import Node, Value


def activation(low: Lowering, node: Node) -> bool:
    (x,), out = node.inputs, node.outputs[0]
    size = low.size_word(out)
    if not isinstance(x, Value) or size is None:
        return False
    a, c = low.input(x), low.output(out)
    code = kernels.CODES[node.attrs["act"]]
    split = (size[0], size[1] // 32, 32) if size[1] % 32 == 0 else None
    words = [*size, a, code, c]
    low.row(kernels.op_activation, words, [a], [c], split=split)
    return True
