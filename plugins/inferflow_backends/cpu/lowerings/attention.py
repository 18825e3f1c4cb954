"""Attention over the cache."""

from __future__ import annotations

from inferflow_backends.cpu.buffers import address
from inferflow_backends.cpu.kernels import attention as kernels
from inferflow_backends.cpu.lower import Lowering
from inferflow_backends.cpu.tape import float_word
from inferflow_core.graph import Node, ParamRef, StateRef, Value


def attention(low: Lowering, node: Node) -> bool:
    q, keys, values = node.inputs[:3]
    sinks = node.inputs[-1]
    out = node.outputs[0]
    if not (isinstance(q, Value) and isinstance(keys, StateRef)):
        return False
    if not isinstance(values, StateRef):
        return False
    k, v = low.memory.keys(keys.path), low.memory.values(values.path)
    a, c = low.input(q), low.output(out)
    heads, width = q.axes[1].length, q.axes[2].length
    v_width = out.axes[2].length
    attrs = node.attrs
    words = [a, address(k), address(v), c, heads, k.shape[1], width, v_width, v.shape[3]]
    words += [float_word(attrs["scale"]), attrs["window"] or 0]
    words += [float_word(attrs["softcap"] or 0.0)]
    words += [address(low.memory.plain(sinks.path)) if isinstance(sinks, ParamRef) else 0]
    room = low.memory.parts(heads, v.shape[3])
    words += [low.memory.half, address(room)]
    low.row(kernels.op_attention, words, [a, address(k), address(v)], [c, address(room)])
    low.row(kernels.op_merge, words, [address(room)], [c])
    return True
