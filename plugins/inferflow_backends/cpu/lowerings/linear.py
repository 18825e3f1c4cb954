"""linear, also with a sum or as a gated pair, and the quantization of what it reads."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from inferflow_backends.cpu.buffers import address
from inferflow_backends.cpu.forms import summed_tokens
from inferflow_backends.cpu.kernels import dense, quantize
from inferflow_backends.cpu.kernels import gated_linear as gated
from inferflow_backends.cpu.kernels import linear as kernels
from inferflow_backends.cpu.kernels.functions import CODES
from inferflow_backends.cpu.kernels.options import compiled
from inferflow_backends.cpu.layouts import DENSE, ROWS, TILE
from inferflow_backends.cpu.lower import Lowering
from inferflow_backends.cpu.lowerings.activation import glu
from inferflow_backends.cpu.pack import Packed
from inferflow_backends.cpu.tape import float_word
from inferflow_core.graph import Node, Operand, ParamRef, Value

KINDS = {
    "dense": (kernels.op_linear_dense, gated.op_gated_dense),
    "float": (kernels.op_linear_float, gated.op_gated_float),
    "packed": (kernels.op_linear_packed, gated.op_gated_packed),
}
"""How a matrix is multiplied -> the kernels of one, and of a gated pair."""


def linear(low: Lowering, node: Node) -> bool:
    return product(low, node, None)


def linear_add(low: Lowering, node: Node) -> bool:
    return product(low, node, node.inputs[3])


def product(low: Lowering, node: Node, residual: Operand) -> bool:
    x, weight, bias = node.inputs[:3]
    size = low.size_word(node.outputs[0])
    if not (isinstance(x, Value) and isinstance(weight, ParamRef)) or size is None:
        return False
    kind, words, reads = operands(low, x, weight, size)
    added = [low.input(residual)] if isinstance(residual, Value) else []
    c = low.output(node.outputs[0])
    words = [*words, bias_of(low, bias), *(added or [0]), c]
    low.row(KINDS[kind][0], words, [*reads, *added], [c])
    return True


def gated_linear(low: Lowering, node: Node) -> bool:
    x, gate, up, *biases = node.inputs
    out, size = node.outputs[0], low.size_word(node.outputs[0])
    if not (isinstance(x, Value) and isinstance(gate, ParamRef) and isinstance(up, ParamRef)):
        return False
    if size is None:
        return False
    formats = {low.memory.packed(weight.path).format for weight in (gate, up)}
    if len(formats) > 1:
        return in_parts(low, node)
    (kind, first, read), (_, second, _) = (operands(low, x, w, size) for w in (gate, up))
    limit = inf if node.attrs["limit"] is None else node.attrs["limit"]
    words = [size[0], *(low.words([0, *each]) for each in (first, second))]
    words += [CODES[node.attrs["act"]], float_word(limit), float_word(node.attrs["up_offset"])]
    words += [bias_of(low, bias) for bias in biases]
    c = low.output(out)
    low.row(KINDS[kind][1], [*words, c], read, [c])
    return True


def in_parts(low: Lowering, node: Node) -> bool:
    """A gated pair of two formats: as what it stands for."""
    x, gate, up, gate_bias, up_bias = node.inputs
    out = node.outputs[0]
    products = [replace(out, id=-2 * out.id - place) for place in (0, 1)]
    for value, weight, bias in zip(products, (gate, up), (gate_bias, up_bias), strict=True):
        linear(low, Node("linear", (x, weight, bias), {}, (value,), node.path))
    glu(low, replace(node, op="glu", inputs=tuple(products)))
    for value in products:
        low.free(value.id)
    return True


def operands(
    low: Lowering, x: Value, weight: ParamRef, size: tuple[int, int]
) -> tuple[str, list[int], list[int]]:
    """How x is multiplied with a matrix, the words of a row before the bias, and what is read."""
    packed = low.memory.packed(weight.path)
    n, k = packed.shape
    word, rows = size[0], size[1] // n
    if packed.format in DENSE:
        group = ROWS * k * DENSE[packed.format]
        by = low.kernel(compiled(getattr(dense, packed.format)))
        a = low.input(x)
        return "dense", [word, rows, address(packed.codes), group, k, n, by, a], [a]
    words = [word, rows, *packed_words(low, packed)]
    if low.memory.floats:
        a = low.input(x)
        return "float", [*words, a, low.kernel(compiled(dense.f32))], [a]
    form = quantized(low, x, word, rows, k)
    return "packed", [*words, *form], form


def bias_of(low: Lowering, bias: Operand) -> int:
    return address(low.memory.plain(bias.path)) if isinstance(bias, ParamRef) else 0


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
