"""expert_linear: pairs of tokens and ranks are sorted by expert, then multiplied."""

from __future__ import annotations

from inferflow_backends.cpu.buffers import address
from inferflow_backends.cpu.kernels import dense
from inferflow_backends.cpu.kernels import experts as kernels
from inferflow_backends.cpu.kernels.options import compiled
from inferflow_backends.cpu.layouts import DENSE, ROWS
from inferflow_backends.cpu.lower import Lowering
from inferflow_backends.cpu.lowerings.linear import packed_words, quantized
from inferflow_core.graph import Node, ParamRef, Value


def expert_linear(low: Lowering, node: Node) -> bool:
    x, weight, index, bias = node.inputs
    out = node.outputs[0]
    size = low.size_word(out)
    if not (isinstance(x, Value) and isinstance(weight, ParamRef)) or size is None:
        return False
    if not isinstance(index, Value) or len(index.axes) != 2:
        return False
    experts, n, k = low.memory.shape(weight.path)
    packed = low.memory.packed(weight.path)
    floats = low.memory.floats or packed.format in DENSE
    starts = sorted_pairs(low, index, size[0], experts)
    tokens = brought(low, x, index, starts, experts, floats=floats)
    added = address(low.memory.plain(bias.path)) if isinstance(bias, ParamRef) else 0
    if packed.format in DENSE:
        words = [address(packed.codes), 0, ROWS * k * DENSE[packed.format], 0, k, n, 0]
        product = low.kernel(compiled(getattr(dense, packed.format)))
    else:
        words = packed_words(low, packed)
        words[5], product = n, low.kernel(compiled(dense.f32))
    c = low.output(out)
    op = kernels.op_experts_float if floats else kernels.op_experts_packed
    ends = [tokens[0], product if floats else tokens[1], added, c]
    low.row(op, [starts, experts, *words, *ends], [starts, *tokens], [c])
    return True


def sorted_pairs(low: Lowering, index: Value, word: int, experts: int) -> int:
    """Where a routing's pairs stand, sorted by expert; once for all that goes by it."""
    count = low.capacity(index) + 2 * experts + 1
    (home,), new = low.quantized(index, [4 * count])
    starts = address(home)
    if new:
        a = low.input(index)
        words = [word, index.axes[1].length, experts, a, starts]
        low.row(kernels.op_sort, words, [a], [starts])
    return starts


def brought(
    low: Lowering, x: Value, index: Value, starts: int, experts: int, *, floats: bool
) -> list[int]:
    """A row of x for each pair, in their order: float32, or codes and stats."""
    ranks, k = index.axes[1].length, x.axes[-1].length
    size = low.size_word(x)
    assert size is not None
    sources = [low.input(x)] if floats else quantized(low, x, size[0], size[1] // k, k)
    width = k if floats else k // 4
    room = 4 * width * (low.capacity(index) + 16)
    buffers, new = low.quantized(x, [room] * len(sources), kind=(low.owner(index), floats))
    homes = [address(buffer) for buffer in buffers]
    if new:
        each = ranks if len(x.axes) == 2 else 1
        for source, home in zip(sources, homes, strict=True):
            words = [size[0], ranks, experts, starts, each, width, source, home]
            low.row(kernels.op_bring, words, [starts, source], [home])
    return homes
