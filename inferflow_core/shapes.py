"""Shape rules: from the axes and dtypes of an op's inputs to those of its outputs.

A rule raises Mismatch; the tracer says which op, shapes and block. Run-time sizes (T, S, R, C) are
equal only to themselves; no rule makes a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from inferflow_core.axes import ONE, SEQUENCES, TOKENS, Axes, Axis


class Mismatch(Exception):
    """Inputs that an op cannot take; the text says why, or is empty where the shapes do."""


@dataclass(frozen=True)
class Typed:
    """What a shape rule sees of an input or says of an output."""

    axes: Axes
    dtype: str = "float"


Inputs = Sequence[Any]
Rule = Callable[[Inputs, Mapping[str, Any]], tuple[Typed, ...]]


def need(condition: bool, why: str = "") -> None:
    if not condition:
        raise Mismatch(why)


def broadcast(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    """Right-aligned; an axis of size 1 stretches."""
    rank = max(len(x.axes) for x in inputs)
    axes: list[Axis] = []
    for place in range(-rank, 0):
        column = [x.axes[place] for x in inputs if len(x.axes) >= -place]
        wide = [axis for axis in column if axis.size != 1] or column
        need(all(axis.size == wide[0].size for axis in wide))
        axes.append(wide[0])
    return (Typed(tuple(axes), inputs[-1].dtype),)


def less(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    return (Typed(broadcast(inputs, attrs)[0].axes, "bool"),)


def same(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    return (inputs[0],)


def to_float(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    return (Typed(inputs[0].axes),)


def to_int(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    need(inputs[0].dtype == "float", "is not float")
    return (Typed(inputs[0].axes, "int"),)


def reduce(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    need(len(inputs[0].axes) > 0, "needs an axis")
    return (Typed((*inputs[0].axes[:-1], ONE)),)


def slice_(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    (x,), start, stop = inputs, attrs["start"], attrs["stop"]
    need(0 <= start < stop <= x.axes[-1].size, f"columns {start}:{stop}")
    name = x.axes[-1].name
    return (Typed((*x.axes[:-1], Axis(name, stop - start)), x.dtype),)


def concat(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    lead = inputs[0].axes[:-1]
    need(all([a.size for a in x.axes[:-1]] == [a.size for a in lead] for x in inputs))
    last = Axis(inputs[0].axes[-1].name, sum(x.axes[-1].length for x in inputs))
    return (Typed((*lead, last), inputs[0].dtype),)


def split_axis(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    (x,), axes = inputs, attrs["axes"]
    need(x.axes[-1].size == prod(axis.length for axis in axes), f"into {[a.size for a in axes]}")
    return (Typed((*x.axes[:-1], *axes), x.dtype),)


def merge_axes(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    (x,), count = inputs, attrs["count"]
    need(len(x.axes) >= count, f"has fewer than {count} axes")
    return (Typed((*x.axes[:-count], Axis.flat(*x.axes[-count:])), x.dtype),)


def expand(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    (x,), at = inputs, attrs["at"]
    place = len(x.axes) + 1 + at
    need(at < 0 <= place, f"at {at}")
    return (Typed((*x.axes[:place], ONE, *x.axes[place:]), x.dtype),)


def select(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    x, rows = inputs
    need(rows.dtype == "int" and len(rows.axes) == 1, "rows must be int [m]")
    return (Typed((rows.axes[0], *x.axes[1:]), x.dtype),)


def gather(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    x, index = inputs
    need(index.dtype == "int", "index must be int")
    need(len(x.axes) == len(index.axes))
    lead = broadcast([Typed(x.axes[:-1]), Typed(index.axes[:-1])], {})[0].axes
    return (Typed((*lead, index.axes[-1]), x.dtype),)


def top_k(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    (x,), k = inputs, attrs["k"]
    need(0 < k <= x.axes[-1].length, f"k = {k}")
    axes = (*x.axes[:-1], Axis("chosen", k))
    return (Typed(axes, x.dtype), Typed(axes, "int"))


def constant(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    axes, count = attrs["axes"], len(attrs["numbers"])
    need(count == prod(axis.length for axis in axes), f"{count} numbers")
    return (Typed(axes),)


def linear(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    x, weight, bias = inputs
    need(len(weight.axes) == 2 and x.axes[-1].size == weight.axes[1].size)
    need(bias is None or bias.axes[0].size == weight.axes[0].size, "bias")
    return (Typed((*x.axes[:-1], weight.axes[0])),)


def linear_add(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    *product, residual = inputs
    (result,) = linear(product, attrs)
    need([a.size for a in residual.axes] == [a.size for a in result.axes], "the sum")
    return (result,)


def gated_linear(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    x, gate, up, gate_bias, up_bias = inputs
    (result,) = linear((x, gate, gate_bias), attrs)
    linear((x, up, up_bias), attrs)
    need(gate.axes[0].size == up.axes[0].size, "gate and up")
    return (result,)


def rows(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    weight, ids = inputs
    need(ids.dtype == "int" and len(weight.axes) == 2, "ids must be int")
    return (Typed((*ids.axes, weight.axes[1])),)


def expert_linear(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    x, weight, index, bias = inputs
    need(len(weight.axes) == 3 and x.axes[-1].size == weight.axes[2].size)
    need(index.dtype == "int" and len(index.axes) == 2, "index must be int [tokens, k]")
    need(len(x.axes) == 2 or x.axes[1].size == index.axes[1].size)
    need(bias is None or [a.size for a in bias.axes] == [a.size for a in weight.axes[:2]], "bias")
    return (Typed((*index.axes, weight.axes[1])),)


def combine(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    x, weight = inputs
    need(len(x.axes) == 3 and [a.size for a in x.axes[:2]] == [a.size for a in weight.axes])
    return (Typed((x.axes[0], x.axes[2])),)


def head_linear(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    x, weight = inputs
    need(len(x.axes) == 3 and len(weight.axes) == 2, "needs [tokens, heads, in] x [heads*rows, n]")
    heads, start, stop = x.axes[1].length, attrs["start"], attrs["stop"]
    rows, width = weight.axes[0].length, weight.axes[1]
    need(rows % heads == 0 and 0 <= start < stop <= rows // heads, f"rows {start}:{stop} of a head")
    picked = Axis("head_rows", stop - start)
    inner, out = (picked, width) if attrs["transpose"] else (width, picked)
    need(x.axes[2].size == inner.size)
    return (Typed((*x.axes[:2], out)),)


def pool(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    (x, _), how = inputs, attrs["how"]
    need(how in ("first", "last", "mean"), f"how = {how!r}")
    need(len(x.axes) == 2 and x.axes[0].size == TOKENS.size, "needs all tokens, [T, n]")
    return (Typed((SEQUENCES, x.axes[1])),)


def append(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    state, x = inputs[:2]
    need([a.size for a in x.axes[1:]] == [a.size for a in state.axes])
    return ()


def attention(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    q, keys, values = inputs[:3]
    need(len(q.axes) == 3 and len(keys.axes) == 2 and q.axes[2].size == keys.axes[1].size)
    need(keys.axes[0].size == values.axes[0].size, "keys and values have other heads")
    need(q.axes[1].length % keys.axes[0].length == 0, "heads are no multiple of the kv heads")
    sinks = inputs[-1]
    need(sinks is None or sinks.axes[0].size == q.axes[1].size, "sinks")
    return (Typed((q.axes[0], q.axes[1], values.axes[1])),)


def norm(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    for weight in inputs[1:]:
        if weight is not None:
            tail = inputs[0].axes[-len(weight.axes) :]
            need([a.size for a in tail] == [a.size for a in weight.axes])
    return (inputs[0],)


def rope(inputs: Inputs, attrs: Mapping[str, Any]) -> tuple[Typed, ...]:
    x, positions = inputs
    need(len(x.axes) == 3 and positions.dtype == "int", "needs [tokens, heads, width]")
    count = 2 * len(attrs["frequencies"])
    need(count <= x.axes[-1].length, f"{count} channels to rotate")
    return (x,)


ELEMENTWISE = ("add", "sub", "mul", "div", "maximum", "minimum", "where", "glu")
SAME = ("exp", "log", "sqrt", "tanh", "erf", "sin", "cos", "value")
SAME_COMPOSITE = ("softmax", "sigmoid", "activation", "softcap", "clamp")

RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, broadcast),
    **dict.fromkeys(SAME + SAME_COMPOSITE, same),
    **dict.fromkeys(("sum", "max", "mean"), reduce),
    **dict.fromkeys(("rms_norm", "layer_norm"), norm),
    "less": less,
    "to_float": to_float,
    "to_int": to_int,
    "slice": slice_,
    "concat": concat,
    "split_axis": split_axis,
    "merge_axes": merge_axes,
    "expand": expand,
    "select": select,
    "gather": gather,
    "top_k": top_k,
    "constant": constant,
    "linear": linear,
    "linear_add": linear_add,
    "gated_linear": gated_linear,
    "rows": rows,
    "expert_linear": expert_linear,
    "combine": combine,
    "head_linear": head_linear,
    "pool": pool,
    "append": append,
    "attention": attention,
    "rope": rope,
}
"""Op -> its shape rule."""
