"""rope."""

from __future__ import annotations

from inferflow_backends.cpu.buffers import address
from inferflow_backends.cpu.kernels import rope as kernels
from inferflow_backends.cpu.lower import Lowering
from inferflow_core.graph import Node, Value


def rope(low: Lowering, node: Node) -> bool:
    x, positions = node.inputs
    out, column = node.outputs[0], low.column(positions)
    size = low.size_word(out)
    if not isinstance(x, Value) or column is None or size is None:
        return False
    frequencies = node.attrs["frequencies"]
    cosines, sines = low.memory.rotations(frequencies, node.attrs["scale"])
    heads, width = x.axes[1].length, x.axes[2].length
    a, c = low.input(x), low.output(out)
    words = [size[0], heads, width, len(frequencies), int(node.attrs["interleaved"])]
    words += [address(cosines), address(sines), a, c]
    low.row(kernels.op_rope, words, [a], [c], split=(size[0], heads, width))
    return True
