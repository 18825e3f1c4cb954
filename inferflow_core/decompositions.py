"""What each composite op means in primitives. Formulas only: a backend may do better."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from inferflow_core.axes import Axis
from inferflow_core.ops import Ops, Tensor


def mean(ops: Ops, x: Any) -> Tensor:
    return ops.div(ops.sum(x), float(x.shape[-1]))


def sigmoid(ops: Ops, x: Tensor) -> Tensor:
    return ops.div(1.0, ops.add(ops.exp(ops.mul(x, -1.0)), 1.0))


def softmax(ops: Ops, x: Tensor) -> Tensor:
    e = ops.exp(ops.sub(x, ops.max(x)))
    return ops.div(e, ops.sum(e))


def activation(ops: Ops, x: Tensor, *, act: str) -> Tensor:
    if act == "silu":
        return ops.mul(x, ops.sigmoid(x))
    if act == "gelu":
        return ops.mul(ops.mul(x, 0.5), ops.add(ops.erf(ops.mul(x, math.sqrt(0.5))), 1.0))
    if act == "gelu_tanh":
        cube = ops.mul(ops.mul(x, x), x)
        inner = ops.mul(ops.add(x, ops.mul(cube, 0.044715)), math.sqrt(2.0 / math.pi))
        return ops.mul(ops.mul(x, 0.5), ops.add(ops.tanh(inner), 1.0))
    if act == "quick_gelu":
        return ops.mul(x, ops.sigmoid(ops.mul(x, 1.702)))
    if act == "relu":
        return ops.maximum(x, 0.0)
    if act == "relu2":
        positive = ops.maximum(x, 0.0)
        return ops.mul(positive, positive)
    if act == "tanh":
        return ops.tanh(x)
    if act == "sigmoid":
        return ops.sigmoid(x)
    raise ValueError(f"no activation named {act!r}")


def glu(
    ops: Ops, gate: Tensor, up: Tensor, *, act: str, limit: float | None, up_offset: float
) -> Tensor:
    if limit is not None:
        gate = ops.minimum(gate, limit)
        up = ops.clamp(up, -limit, limit)
    if up_offset:
        up = ops.add(up, up_offset)
    return ops.mul(ops.activation(gate, act), up)


def linear_add(ops: Ops, x: Tensor, weight: Any, bias: Any, residual: Tensor) -> Tensor:
    """What `fuse_residual` makes."""
    return ops.add(ops.linear(x, weight, bias), residual)


def gated_linear(
    ops: Ops, x: Tensor, gate: Any, up: Any, gate_bias: Any, up_bias: Any, **how: Any
) -> Tensor:
    """What `fuse_gates` makes; `how`: the attributes of `glu`."""
    return ops.glu(ops.linear(x, gate, gate_bias), ops.linear(x, up, up_bias), **how)


def softcap(ops: Ops, x: Tensor, *, cap: float) -> Tensor:
    return ops.mul(ops.tanh(ops.div(x, cap)), cap)


def clamp(ops: Ops, x: Tensor, *, low: float, high: float) -> Tensor:
    return ops.minimum(ops.maximum(x, low), high)


def _affine(ops: Ops, x: Tensor, weight: Any, unit_offset: bool) -> Tensor:
    if weight is None:
        return x
    scale = ops.value(weight)
    return ops.mul(x, ops.add(scale, 1.0) if unit_offset else scale)


def rms_norm(ops: Ops, x: Tensor, weight: Any, *, eps: float, unit_offset: bool) -> Tensor:
    root = ops.sqrt(ops.add(ops.mean(ops.mul(x, x)), eps))
    return _affine(ops, ops.div(x, root), weight, unit_offset)


def layer_norm(
    ops: Ops, x: Tensor, weight: Any, bias: Any, *, eps: float, unit_offset: bool
) -> Tensor:
    centred = ops.sub(x, ops.mean(x))
    root = ops.sqrt(ops.add(ops.mean(ops.mul(centred, centred)), eps))
    y = _affine(ops, ops.div(centred, root), weight, unit_offset)
    return y if bias is None else ops.add(y, ops.value(bias))


def rope(
    ops: Ops,
    x: Any,
    positions: Tensor,
    *,
    frequencies: tuple[float, ...],
    interleaved: bool,
    scale: float,
) -> Tensor:
    pairs, width = len(frequencies), int(x.shape[-1])
    table = ops.constant(frequencies, Axis("pairs", pairs))
    angle = ops.mul(ops.expand(ops.to_float(positions), -1), table)  # [T, pairs]
    cos, sin = (ops.mul(ops.expand(f(angle), -2), scale) for f in (ops.cos, ops.sin))
    rotated = x if width == 2 * pairs else ops.slice(x, 0, 2 * pairs)
    if interleaved:
        rotated = ops.split_axis(rotated, Axis("pairs", pairs), Axis("pair", 2))
        a, b = ops.slice(rotated, 0, 1), ops.slice(rotated, 1, 2)
        cos, sin = ops.expand(cos, -1), ops.expand(sin, -1)
    else:
        a, b = ops.slice(rotated, 0, pairs), ops.slice(rotated, pairs, 2 * pairs)
    turned = ops.concat(
        ops.sub(ops.mul(a, cos), ops.mul(b, sin)), ops.add(ops.mul(b, cos), ops.mul(a, sin))
    )
    if interleaved:
        turned = ops.merge_axes(turned)
    if width == 2 * pairs:
        return turned
    return ops.concat(turned, ops.slice(x, 2 * pairs, width))


DECOMPOSITIONS: dict[str, Callable[..., Tensor]] = {
    function.__name__: function
    for function in (
        *(mean, sigmoid, softmax, activation, glu, softcap, clamp, rms_norm, layer_norm, rope),
        *(linear_add, gated_linear),
    )
}
"""Composite op -> its meaning: `f(ops, *inputs, **attrs)`."""
