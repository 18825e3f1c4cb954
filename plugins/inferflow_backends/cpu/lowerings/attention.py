"""Attention over the cache."""

from __future__ import annotations

from typing import Any

from inferflow_backends.cpu.attention_words import Words
from inferflow_backends.cpu.buffers import address
from inferflow_backends.cpu.cache_formats import FORMATS, Layout, padded
from inferflow_backends.cpu.kernels import attention as kernels
from inferflow_backends.cpu.kernels import attention_tiles
from inferflow_backends.cpu.kernels.options import compiled
from inferflow_backends.cpu.lower import Lowering
from inferflow_backends.cpu.score_table import rule_key, score_table
from inferflow_backends.cpu.tape import TABLE_WIDTHS, State, float_word
from inferflow_core.graph import Function, Node, ParamRef, StateRef, Value


def attention(low: Lowering, node: Node) -> bool:
    q, keys, values = node.inputs[:3]
    if not isinstance(q, Value):
        return False
    assert isinstance(keys, StateRef)
    assert isinstance(values, StateRef)
    out = node.outputs[0]
    k, v = (address(low.memory.caches[state.path]) for state in (keys, values))
    numbers = low.memory.words(_words(low, node, keys, values, q.axes[1].length))
    low.nested.append((node.path, numbers))
    words = address(numbers)
    room = address(low.memory.parts(q.axes[1].length, padded(out.axes[2].length)))
    a, c = low.input(q), low.output(out)
    low.row(kernels.op_attention, [words, a, k, v, c, room], [a, k, v], [c, room])
    low.row(kernels.op_merge, [words, a, k, v, c, room], [room], [c])
    return True


def _words(
    low: Lowering, node: Node, keys: StateRef, values: StateRef, heads: int
) -> dict[Words, int]:
    memory, attrs, sinks = low.memory, node.attrs, node.inputs[-1]
    form, layout = FORMATS[memory.cache], memory.layouts[keys.path]
    (kv_heads, width), (_, v_width) = memory.row_of(keys.path), memory.row_of(values.path)
    lengths, tables = (State(_column(low, item)) for item in node.inputs[5:7])
    words = {
        Words.HEADS: heads,
        Words.KV_HEADS: kv_heads,
        Words.WIDTH: width,
        Words.PADDED: padded(width),
        Words.CHANNELS: width if layout == "keys" else padded(width),
        Words.V_WIDTH: v_width,
        Words.V_PADDED: padded(v_width),
        Words.KEY_BYTES: form.tile_bytes(layout, width),
        Words.VALUE_BYTES: form.tile_bytes("rows", v_width),
        Words.SCALE: float_word(attrs["scale"]),
        Words.SOFTCAP: float_word(attrs["softcap"] or 0.0),
        Words.WINDOW: attrs["window"] or 0,
        Words.CAUSAL: int(attrs["causal"]),
        Words.SINKS: address(memory.plain(sinks.path)) if isinstance(sinks, ParamRef) else 0,
        Words.LENGTHS: 8 * lengths,
        Words.TABLES: 8 * tables,
        Words.TABLE_WIDTH: 8 * TABLE_WIDTHS[tables],
        Words.ONE_STATE: int(keys.path == values.path),
        Words.PART: low.kernel(kernels.part),
    }
    words |= _micro_kernels(low, layout)
    if form.scaled:
        words[Words.KEY_SCALES] = form.numbers_bytes(layout, width)
        words[Words.VALUE_SCALES] = form.numbers_bytes("rows", v_width)
    if isinstance(attrs["bias"], Function):
        words |= _bias(low, attrs["bias"], heads, causal=attrs["causal"])
    return words


def _column(low: Lowering, item: Any) -> State:
    column = low.column(item)
    assert column is not None
    return column


def _bias(low: Lowering, rule: Function, heads: int, *, causal: bool) -> dict[Words, int]:
    context = low.memory.sizes.context
    table = low.memory.score_table(
        rule_key(rule, heads, causal=causal),
        lambda: score_table(low.rule(rule), heads, context, causal=causal),
    )
    return {
        Words.BIAS: address(table),
        Words.BIAS_ROW: table.shape[1],
        Words.BIAS_ZERO: context - 1,
    }


def _micro_kernels(low: Lowering, layout: Layout) -> dict[Words, int]:
    """Addresses of the kernels for a format, and for float32."""
    cache = low.memory.cache

    def kernel(kind: str, form: str) -> int:
        return low.kernel(compiled(getattr(attention_tiles, f"{kind}_{form}")))

    scores = "tiles" if layout == "keys" else "rows"
    words = {
        Words.SCORES: kernel(scores, cache),
        Words.VALUES: kernel("values", cache),
        Words.WIDE_SCORES: kernel(scores, "f32"),
        Words.WIDE_VALUES: kernel("values", "f32"),
    }
    return words if cache == "f32" else words | {Words.WIDEN: kernel("wide", cache)}
