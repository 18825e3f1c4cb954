"""linear, and the quantization of what it reads."""

from __future__ import annotations

from inferflow_backends.cpu.buffers import address
from inferflow_backends.cpu.forms import summed_tokens
from inferflow_backends.cpu.kernels import dense, quantize
from inferflow_backends.cpu.kernels import linear as kernels
from inferflow_backends.cpu.kernels.options import compiled
from inferflow_backends.cpu.layouts import DENSE, ROWS, TILE
from inferflow_backends.cpu.lower import Lowering
from inferflow_backends.cpu.pack import Packed
from inferflow_core.graph import Node, ParamRef, Value


def linear(low: Lowering, node: Node) -> bool:
    x, weight, bias = node.inputs
    out = node.outputs[0]
    size = low.size_word(out)
    if not (isinstance(x, Value) and isinstance(weight, ParamRef)) or size is None:
        return False
    packed = low.memory.packed(weight.path)
    n, k = packed.shape
    added = address(low.memory.plain(bias.path)) if isinstance(bias, ParamRef) else 0
    rows = size[1] // n
    if packed.format in DENSE:
        a, c = low.input(x), low.output(out)
        group = ROWS * k * DENSE[packed.format]
        product = compiled(getattr(dense, packed.format)).address
        words = [size[0], rows, address(packed.codes), group, k, n, product, a, added, 0, c]
        low.row(kernels.op_linear_dense, words, [a], [c], residual=True)
        return True
    words = [size[0], rows, *packed_words(low, packed)]
    if low.memory.floats:
        a, c = low.input(x), low.output(out)
        words += [a, compiled(dense.f32).address, added, 0, c]
        low.row(kernels.op_linear_float, words, [a], [c], residual=True)
        return True
    form = quantized(low, x, size[0], rows, k)
    c = low.output(out)
    low.row(kernels.op_linear_packed, [*words, *form, added, 0, c], form, [c], residual=True)
    return True


def packed_words(low: Lowering, packed: Packed) -> list[int]:
    """Codes, scales, bytes of a group's codes and scales, in, out, form."""
    n, k = packed.shape
    sizes = packed.layout.group_bytes(k)
    form = low.memory.forms.address(packed.format)
    return [address(packed.codes), address(packed.scales), *sizes, k, n, form]


def quantized(low: Lowering, x: Value, word: int, rows: int, k: int) -> list[int]:
    """Addresses of the packed form of x: codes and stats, with room for a last tile."""
    count = low.capacity(x) + TILE * k
    buffers, new = low.quantized(x, [count, count])
    form = [address(buffer) for buffer in buffers]
    if new:
        a = low.input(x)
        split = low.split_of(a)
        if split is None or split[0] != word or split[2] % 32:
            split = (word, rows * k // 32, 32)
        words = [*split, a, *form, k, summed_tokens(always=low.memory.sums)]
        low.row(quantize.op_quantize, words, [a], form, split=split)
    return form
