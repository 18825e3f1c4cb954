"""head_linear."""

from __future__ import annotations

from inferflow_backends.cpu.buffers import address
from inferflow_backends.cpu.kernels import dense
from inferflow_backends.cpu.kernels import heads as kernels
from inferflow_backends.cpu.kernels.options import compiled
from inferflow_backends.cpu.lower import Lowering
from inferflow_core.graph import Node, ParamRef, Value


def head_linear(low: Lowering, node: Node) -> bool:
    (x, weight), out = node.inputs, node.outputs[0]
    size = low.size_word(out)
    if not (isinstance(x, Value) and isinstance(weight, ParamRef)) or size is None:
        return False
    heads, k, n = x.axes[1].length, x.axes[2].length, out.axes[2].length
    maps = low.memory.head_maps(weight.path, heads, **node.attrs)
    a, c = low.input(x), low.output(out)
    words = [size[0], heads, address(maps.codes), k, n, low.kernel(compiled(dense.f32)), a, c]
    low.row(kernels.op_head_linear, words, [a], [c])
    return True
