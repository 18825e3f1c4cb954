"""A token's keys and values into the cache."""

from __future__ import annotations

from inferflow_backends.cpu.buffers import address
from inferflow_backends.cpu.kernels import append as kernels
from inferflow_backends.cpu.lower import Lowering
from inferflow_backends.cpu.memory import padded
from inferflow_backends.cpu.tape import State
from inferflow_core.graph import Node, StateRef, Value


def append(low: Lowering, node: Node) -> bool:
    state, x = node.inputs[:2]
    if not (isinstance(state, StateRef) and isinstance(x, Value)):
        return False
    cache = low.memory.caches[state.path]
    a, c = low.input(x), address(cache)
    heads, width = x.axes[1].length, x.axes[2].length
    if cache.ndim == 5:
        words = [c, a, heads, width, low.memory.half]
        split = (int(State.TOKENS), heads, width)
        low.row(kernels.op_append_keys, words, [a], [c], split=split)
    else:
        words = [c, a, heads, width, low.memory.half, padded(width)]
        low.row(kernels.op_append_values, words, [a], [c])
    return True
