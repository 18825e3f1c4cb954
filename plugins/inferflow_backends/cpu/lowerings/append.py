"""A token's keys and values into the cache."""

from __future__ import annotations

from inferflow_backends.cpu.buffers import address
from inferflow_backends.cpu.cache_formats import FORMATS
from inferflow_backends.cpu.kernels import append as kernels
from inferflow_backends.cpu.lower import Lowering
from inferflow_backends.cpu.tape import State
from inferflow_core.graph import Node, StateRef, Value


def append(low: Lowering, node: Node) -> bool:
    state, x = node.inputs[:2]
    if not (isinstance(state, StateRef) and isinstance(x, Value)):
        return False
    layout, form = low.memory.layouts[state.path], FORMATS[low.memory.cache]
    heads, width = low.memory.row_of(state.path)
    a, c = low.input(x), address(low.memory.caches[state.path])
    words = [c, a, heads, width, form.code, form.number_bytes]
    words += [form.tile_bytes(layout, width), form.numbers_bytes(layout, width), layout == "keys"]
    low.row(kernels.op_append, words, [a], [c], split=(int(State.TOKENS), heads, width))
    return True
