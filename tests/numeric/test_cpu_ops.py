"""The small ops of the cpu backend: each kernel against the numpy reference, over shapes and
tails, the same bits for any number of threads, and no numpy call in between."""

from typing import Any

import numpy as np
import pytest

from inferflow_core.axes import ONE, Axis
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor

pytest.importorskip("numba", reason="the cpu backend needs numba")

from cpu_probe import Probe, axes, compare

ACTS = ["silu", "gelu", "gelu_tanh", "quick_gelu", "relu", "relu2", "tanh", "sigmoid"]
ARITHMETIC = ["add", "sub", "mul", "maximum", "minimum"]


@pytest.mark.parametrize("width", [1, 7, 16, 33, 64])
def test_arithmetic_of_equal_shapes(width: int) -> None:
    def case(ops: Ops, w: Any, x: Any, y: Any, ctx: Context) -> Tensor:
        parts = [ops.apply(op, [x, y], {}) for op in ARITHMETIC]
        return ops.concat(*parts, ops.div(x, ops.exp(y)))

    compare(Probe(case=case, hidden=width))


@pytest.mark.parametrize("shape", [(1, 5), (3, 1), (3, 16), (2, 20), (4, 33)])
def test_arithmetic_of_shapes_that_stretch(shape: tuple[int, int]) -> None:
    """Every pair of: the whole, one of each axis only, and numbers without a token."""
    heads, width = shape

    def case(ops: Ops, w: Any, x: Any, y: Any, ctx: Context) -> Tensor:
        x, y = (ops.split_axis(v, *axes(heads, width)) for v in (x, y))
        others = [y, ops.expand(ops.sum(y), -1)] if heads == 1 else [y, ops.sum(y)]
        others += [ops.slice(y, 0, 1), ops.expand(ops.slice(ops.merge_axes(y), 0, width), -2)]
        others += [ops.value(w.w0), ops.value(w.w1), ops.value(w.w2), ops.constant([0.75])]
        others += [ops.value(w.w1) + ops.value(w.w2)]
        found: list[Any] = []
        for other in others:
            found += [ops.sub(x, other), ops.sub(other, x)]
        return ops.concat(*[ops.merge_axes(each) for each in found if len(each.shape) == 3])

    compare(Probe(case=case, hidden=heads * width, weights=((heads, width), (width,), (heads, 1))))


@pytest.mark.parametrize("width", [1, 18, 32])
def test_functions(width: int) -> None:
    def case(ops: Ops, w: Any, x: Any, y: Any, ctx: Context) -> Tensor:
        acts = [ops.activation(x * 3.0, act) for act in ACTS]
        simple = [f(x * 2.0) for f in (ops.exp, ops.tanh, ops.erf, ops.sin, ops.cos, ops.sigmoid)]
        positive = [f(ops.exp(x)) for f in (ops.log, ops.sqrt)]
        rest = [ops.softcap(x * 30.0, 20.0), ops.clamp(x, -0.5, 0.25)]
        rest += [ops.to_float(ops.to_int(x * 9.0))]
        return ops.concat(*acts, *simple, *positive, *rest)

    compare(Probe(case=case, hidden=width))


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize(("limit", "up_offset"), [(None, 0.0), (0.8, 1.0)])
def test_glu(act: str, limit: float | None, up_offset: float) -> None:
    def case(ops: Ops, w: Any, x: Any, y: Any, ctx: Context) -> Tensor:
        return ops.glu(x * 2.0, y, act, limit=limit, up_offset=up_offset)

    compare(Probe(case=case, hidden=40))


@pytest.mark.parametrize("width", [1, 3, 16, 19, 64, 100])
def test_reductions(width: int) -> None:
    def case(ops: Ops, w: Any, x: Any, y: Any, ctx: Context) -> Tensor:
        parts = [f(x - 9.0) for f in (ops.sum, ops.mean, ops.max)]
        return ops.concat(ops.softmax(x * 5.0), *parts)

    compare(Probe(case=case, hidden=width))


@pytest.mark.parametrize(("width", "k"), [(1, 1), (4, 4), (8, 2), (60, 6), (128, 8), (33, 33)])
def test_top_k_and_gather(width: int, k: int) -> None:
    """Rounded scores have ties, of which the earlier comes first, as in numpy's stable sort."""

    def case(ops: Ops, w: Any, x: Any, y: Any, ctx: Context) -> Tensor:
        values, index = ops.top_k(ops.to_float(ops.to_int(x * 2.0)), k)
        one = ops.constant(range(width), ONE, Axis("width", width))
        parts = [values, ops.to_float(index), ops.gather(y, index), ops.gather(one, index)]
        return ops.concat(*parts, ops.to_float(ops.gather(index, ops.top_k(values, k)[1])))

    compare(Probe(case=case, hidden=width))


@pytest.mark.parametrize(("heads", "width"), [(1, 5), (2, 16), (6, 24)])
def test_columns_rows_and_weighted_sums(heads: int, width: int) -> None:
    def case(ops: Ops, w: Any, x: Any, y: Any, ctx: Context) -> Tensor:
        split = ops.split_axis(x, *axes(heads, width))
        part = ops.merge_axes(ops.slice(split, 1, width - 1))
        weight = ops.slice(y, 0, heads)
        chosen = ops.select(ops.value(w.w0), ctx.ids)
        where = ops.to_float(ctx.positions) + 3.0
        return ops.concat(part, ops.combine(split, weight), chosen, ops.expand(where, -1))

    compare(Probe(case=case, hidden=heads * width, weights=((12, 7),)))


@pytest.mark.parametrize(("heads", "width"), [(1, 6), (3, 16), (2, 37)])
@pytest.mark.parametrize("own", [False, True])
def test_norms_of_heads(heads: int, width: int, own: bool) -> None:
    """With one weight for all heads, and with each head's own."""
    shape = (heads, width) if own else (width,)

    def case(ops: Ops, w: Any, x: Any, y: Any, ctx: Context) -> Tensor:
        split = ops.split_axis(x, *axes(heads, width))
        found = [ops.rms_norm(split, w.w0, unit_offset=True), ops.layer_norm(split, w.w0, w.w1)]
        found += [ops.layer_norm(split, None, w.w1), ops.rms_norm(split)]
        return ops.concat(*map(ops.merge_axes, found))

    compare(Probe(case=case, hidden=heads * width, weights=(shape, shape)), 5e-6)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize(("heads", "inner", "out"), [(1, 5, 3), (3, 16, 20), (4, 24, 33)])
def test_a_map_for_each_head(heads: int, inner: int, out: int, transpose: bool) -> None:
    """Rows 1..1 + out of each head's; the others are no part of it."""
    shape = (heads * ((inner if transpose else out) + 3), out if transpose else inner)

    def case(ops: Ops, w: Any, x: Any, y: Any, ctx: Context) -> Tensor:
        split = ops.split_axis(x, *axes(heads, inner))
        stop = 1 + (inner if transpose else out)
        found = ops.head_linear(split, w.w0, start=1, stop=stop, transpose=transpose)
        return ops.merge_axes(found)

    compare(Probe(case=case, hidden=heads * inner, weights=(shape,)))


def test_embedding_rows_of_a_computed_index() -> None:
    def case(ops: Ops, w: Any, x: Any, y: Any, ctx: Context) -> Tensor:
        return ops.rows(w.w0, ops.to_int(ops.to_float(ctx.positions) * 0.5 + 2.0))

    compare(Probe(case=case, hidden=20, weights=((12, 20),)))


ERRORS = {"exp": 2, "log": 1, "tanh": 2, "erf": 4, "sin": 1, "cos": 1, "gelu": 2, "gelu_tanh": 2}


@pytest.mark.parametrize("name", ERRORS)
def test_functions_against_float64(name: str) -> None:
    """Largest errors in units of the last place of the result, or of one where that is larger."""
    from math import erf

    from inferflow_backends.cpu.buffers import address, aligned
    from inferflow_backends.cpu.kernels.activation import op_activation
    from inferflow_backends.cpu.kernels.apply import op_apply
    from inferflow_backends.cpu.kernels.functions import CODES

    x = np.linspace(-80, 80, 160_001).astype(np.float32)
    if name in ("sin", "cos"):
        x = np.concatenate([x, np.linspace(-1e6, 1e6, 100_001).astype(np.float32)])
    if name == "log":
        x = np.geomspace(1e-37, 1e37, 200_001).astype(np.float32)
    wide = x.astype(np.float64)
    erfs = np.vectorize(erf, otypes=[np.float64])
    exact = {
        **{each: getattr(np, each) for each in ("exp", "log", "tanh", "sin", "cos")},
        "erf": erfs,
        "gelu": lambda v: v * 0.5 * (1 + erfs(v * 0.5**0.5)),
        "gelu_tanh": lambda v: v / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (v + 0.044715 * v**3))),
    }
    expected = exact[name](wide)
    source, target, state, row = (aligned(count) for count in (x.nbytes, x.nbytes, 256, 128))
    source.view(np.float32)[:] = x
    state.view(np.int64)[0] = 1
    words: list[int] = [0, 0, len(x), address(source), CODES[name]]
    act = name in ("tanh", "gelu", "gelu_tanh")
    words += [address(target)] if act else [0, 0, address(target)]
    row.view(np.int64)[: len(words)] = words
    (op_activation if act else op_apply).ctypes(address(row), 0, 1, address(state))
    unit = np.spacing(np.maximum(np.abs(expected), 1).astype(np.float32))
    assert (np.abs(target.view(np.float32) - expected) / unit).max() <= ERRORS[name]


def test_logarithms_of_no_number() -> None:
    def case(ops: Ops, w: Any, x: Any, y: Any, ctx: Context) -> Tensor:
        return ops.exp(ops.log(ops.maximum(x, 0.0)) * 0.5)

    with np.errstate(divide="ignore"):
        compare(Probe(case=case, hidden=20))
