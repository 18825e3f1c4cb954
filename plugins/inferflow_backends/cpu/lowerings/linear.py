"""linear, and the quantization of what it reads."""

from __future__ import annotations

from inferflow_backends.cpu.buffers import address
from inferflow_backends.cpu.kernels import linear as kernels
from inferflow_backends.cpu.kernels import quantize
from inferflow_backends.cpu.kernels.forms import FORMS
from inferflow_backends.cpu.lower import Lowering
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
    if packed.format == "f32":
        a, c = low.input(x), low.output(out)
        words = [size[0], rows, address(packed.codes), k, n, a, added, 0, c]
        low.row(kernels.op_linear_f32, words, [a], [c], residual=True)
        return True
    form = quantized(low, x, size[0], rows, k)
    sums = form[{"q4_0": 3, "q8_0": 4, "q4_1": 5}[packed.format]]
    c = low.output(out)
    words = [size[0], rows, address(packed.codes), address(packed.scales), k, n]
    words += [FORMS[packed.format], *form[:3], sums, added, 0, c]
    low.row(kernels.op_linear_packed, words, form, [c], residual=True)
    return True


def quantized(low: Lowering, x: Value, word: int, rows: int, k: int) -> list[int]:
    """Addresses of the packed form of x: high, low, factors, sums by -8, -128 and d."""
    count = low.capacity(x)
    buffers, new = low.quantized(x, [count] * 2 + [count // 8] * 4)
    form = [address(buffer) for buffer in buffers]
    if new:
        a = low.input(x)
        split = low.split_of(a)
        if split is None or split[0] != word or split[2] % 32:
            split = (word, rows * k // 32, 32)
        low.row(quantize.op_quantize, [*split, a, *form], [a], form, split=split)
    return form
