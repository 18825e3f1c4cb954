"""example.scale@cpu: the same op as a kernel of the `cpu` backend, written with its SIMD layer."""

from inferflow_backends.cpu.kernels.elementwise import begin
from inferflow_backends.cpu.kernels.options import OP, OPTIONS
from inferflow_backends.cpu.lower import Lowering
from inferflow_backends.cpu.simd import f32_of_bits, i64_at, load, mul, splat, store
from inferflow_backends.cpu.tape import float_word
from numba import cfunc

from inferflow_core.graph import Node, Value


@cfunc(OP, **OPTIONS)
def op_scale(row, tid, threads, state):
    """row: size word, numbers a unit of it, x, out, factor."""
    count = i64_at(state + 8 * i64_at(row + 8)) * i64_at(row + 16)
    x, out, factor = i64_at(row + 24), i64_at(row + 32), splat(f32_of_bits(i64_at(row + 40)))
    for i in range(begin(count, tid, threads), begin(count, tid + 1, threads), 16):
        store(out + 4 * i, mul(load(x + 4 * i), factor))
    return 0


def lower(low: Lowering, node: Node) -> bool:
    """Adds the op's row; False for inputs that the kernel has no form for."""
    x, out = node.inputs[0], node.outputs[0]
    size = low.size_word(out)
    if not isinstance(x, Value) or size is None or low.column(x) is not None:
        return False
    a, c = low.input(x), low.output(out)
    low.row(op_scale, [*size, a, c, float_word(node.attrs["factor"])], [a], [c])
    return True
