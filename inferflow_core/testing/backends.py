"""Suite of backends: op by op against the reference, and the numeric law."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from inferflow_core.axes import ONE, Axis, Dims
from inferflow_core.block import Model, Param, Scope, State, TokenState
from inferflow_core.context import Context
from inferflow_core.graph import reads_whole
from inferflow_core.interfaces import Backend, FootprintBackend, Sizes
from inferflow_core.ops import Ops, Tensor
from inferflow_core.optable import OpTable
from inferflow_core.testing.probe import Prober
from inferflow_core.testing.registered import EntrySuite
from inferflow_core.tracer import trace

HIDDEN, HEADS, KV_HEADS, WIDTH, EXPERTS = 24, 4, 2, 6, 3
Case = Callable[[Ops, Any, Tensor, Tensor, Context], Tensor]


def _heads(ops: Ops, x: Tensor) -> Tensor:
    return ops.split_axis(x, Axis("heads", HEADS), Axis("head_dim", WIDTH))


def _attention(**attrs: Any) -> Case:
    def case(ops: Ops, w: Any, x: Tensor, y: Tensor, ctx: Context) -> Tensor:
        kv = ops.slice(y, 0, KV_HEADS * WIDTH)
        kv = ops.split_axis(kv, Axis("kv_heads", KV_HEADS), Axis("head_dim", WIDTH))
        ops.append(w.keys, kv, ctx)
        ops.append(w.values, kv * 0.5, ctx)
        sinks = w.sinks if attrs.get("sinks") else None
        rest = {k: v for k, v in attrs.items() if k != "sinks"}
        q = _heads(ops, x)
        return ops.attention(q, w.keys, w.values, ctx, scale=0.4, sinks=sinks, **rest)

    return case


def _slope(ops: Ops, head: Tensor, q_pos: Tensor, k_pos: Tensor) -> Tensor:
    distance = ops.to_float(k_pos) - ops.to_float(q_pos)
    return (ops.to_float(head) + 1.0) * distance * 0.1


def _experts(ops: Ops, w: Any, x: Tensor, y: Tensor, ctx: Context) -> Tensor:
    scores = ops.slice(y, 0, EXPERTS)
    _, index = ops.top_k(scores, 2)
    weights = ops.softmax(ops.gather(scores, index))
    return ops.expert_linear(x, w.experts, index) * ops.expand(weights, -1)


CASES: dict[str, Case] = {
    "add": lambda ops, w, x, y, ctx: x + y,
    "sub": lambda ops, w, x, y, ctx: x - y,
    "mul": lambda ops, w, x, y, ctx: x * y,
    "div": lambda ops, w, x, y, ctx: ops.div(x, ops.exp(y)),
    "maximum": lambda ops, w, x, y, ctx: ops.maximum(x, y),
    "minimum": lambda ops, w, x, y, ctx: ops.minimum(x, 0.25),
    "exp": lambda ops, w, x, y, ctx: ops.exp(x),
    "log": lambda ops, w, x, y, ctx: ops.log(ops.exp(x)),
    "sqrt": lambda ops, w, x, y, ctx: ops.sqrt(ops.exp(x)),
    "tanh": lambda ops, w, x, y, ctx: ops.tanh(x),
    "erf": lambda ops, w, x, y, ctx: ops.erf(x),
    "sin": lambda ops, w, x, y, ctx: ops.sin(x),
    "cos": lambda ops, w, x, y, ctx: ops.cos(x),
    "where": lambda ops, w, x, y, ctx: ops.where(ops.less(x, y), x, y * 2.0),
    "sum": lambda ops, w, x, y, ctx: x * ops.sum(y),
    "max": lambda ops, w, x, y, ctx: x - ops.max(x),
    "mean": lambda ops, w, x, y, ctx: x - ops.mean(x),
    "concat": lambda ops, w, x, y, ctx: ops.concat(ops.slice(x, 3, 9), y),
    "axes": lambda ops, w, x, y, ctx: ops.merge_axes(ops.max(_heads(ops, x)) * _heads(ops, y)),
    "expand": lambda ops, w, x, y, ctx: ops.merge_axes(ops.expand(x, -1)),
    "gather": lambda ops, w, x, y, ctx: ops.gather(x, ops.top_k(y, 5)[1]),
    "top_k": lambda ops, w, x, y, ctx: ops.top_k(x, 4)[0],
    "constant": lambda ops, w, x, y, ctx: x * ops.constant(range(HIDDEN), Axis("hidden", HIDDEN)),
    "value": lambda ops, w, x, y, ctx: x * ops.value(w.scale),
    "linear": lambda ops, w, x, y, ctx: ops.linear(x, w.matrix, w.bias),
    "linear_add": lambda ops, w, x, y, ctx: ops.op("linear_add")(x, w.matrix, w.bias, y),
    **{
        f"gated_linear, {act}": lambda ops, w, x, y, ctx, act=act: ops.op("gated_linear")(
            x, w.matrix, w.other, None, w.bias, act=act, limit=0.9, up_offset=0.5
        )
        for act in ("silu", "gelu")
    },
    "rows": lambda ops, w, x, y, ctx: ops.rows(w.table, ctx.positions),
    "to_float": lambda ops, w, x, y, ctx: x * ops.expand(ops.to_float(ctx.positions), -1),
    "to_int": lambda ops, w, x, y, ctx: ops.rows(w.table, ops.to_int(ops.to_float(ctx.ids) + 1.5)),
    "gather, one row": lambda ops, w, x, y, ctx: ops.gather(
        ops.constant(range(HIDDEN), ONE, Axis("hidden", HIDDEN)), ops.top_k(y, 5)[1]
    ),
    "expert_linear": _experts,
    "combine": lambda ops, w, x, y, ctx: ops.combine(_heads(ops, x), ops.slice(y, 0, HEADS)),
    "head_linear": lambda ops, w, x, y, ctx: ops.merge_axes(
        ops.head_linear(_heads(ops, x), w.maps, start=2, stop=5)
    ),
    "head_linear, transposed": lambda ops, w, x, y, ctx: ops.merge_axes(
        ops.head_linear(ops.slice(_heads(ops, x), 0, 4), w.maps, start=1, stop=5, transpose=True)
    ),
    **{
        f"pool, {how}": lambda ops, w, x, y, ctx, how=how: ops.select(
            ops.pool(x, ctx, how), ctx.seq_of
        )
        for how in ("first", "last", "mean")
    },
    "attention": _attention(),
    "attention, window": _attention(window=5),
    "attention, softcap": _attention(softcap=0.7),
    "attention, sinks": _attention(sinks=True),
    "attention, bias": _attention(bias=_slope),
    "attention, all": _attention(causal=False),
    "attention, both sides": _attention(causal=False, window=6),
    "softmax": lambda ops, w, x, y, ctx: ops.softmax(x),
    "sigmoid": lambda ops, w, x, y, ctx: ops.sigmoid(x),
    "softcap": lambda ops, w, x, y, ctx: ops.softcap(x, 1.5),
    "clamp": lambda ops, w, x, y, ctx: ops.clamp(x, -0.3, 0.6),
    "glu": lambda ops, w, x, y, ctx: ops.glu(x, y, "silu", limit=0.8, up_offset=1.0),
    "rms_norm": lambda ops, w, x, y, ctx: ops.rms_norm(x, w.scale, eps=1e-6, unit_offset=True),
    "rms_norm, heads": lambda ops, w, x, y, ctx: ops.rms_norm(_heads(ops, x), w.head_scale),
    "layer_norm": lambda ops, w, x, y, ctx: ops.layer_norm(x, w.scale, w.bias),
    "layer_norm, plain": lambda ops, w, x, y, ctx: ops.layer_norm(_heads(ops, x), eps=0.1),
    "layer_norm, unit offset": lambda ops, w, x, y, ctx: ops.layer_norm(
        x, w.scale, eps=1e-3, unit_offset=True
    ),
    "rope": lambda ops, w, x, y, ctx: ops.rope(_heads(ops, x), ctx.positions, (1.0, 0.1)),
    "rope, interleaved": lambda ops, w, x, y, ctx: ops.rope(
        _heads(ops, x), ctx.positions, (1.0, 0.1, 0.01), interleaved=True, scale=1.1
    ),
    **{
        f"activation, {act}": lambda ops, w, x, y, ctx, act=act: ops.activation(x, act)
        for act in ("silu", "gelu", "gelu_tanh", "quick_gelu", "relu", "relu2", "tanh", "sigmoid")
    },
}
"""What -> an op applied to x and y [T, 24]."""


@dataclass(frozen=True, kw_only=True)
class OpProbe(Model):
    """A model of one op."""

    case: str

    def params(self, dims: Dims) -> dict[str, Param]:
        hidden = dims.hidden
        return {
            "x": Param(dims.vocab, hidden),
            "y": Param(dims.vocab, hidden),
            "scale": Param(hidden),
            "head_scale": Param(Axis("head_dim", WIDTH)),
            "bias": Param(hidden),
            "sinks": Param(Axis("heads", HEADS)),
            "matrix": Param(hidden, hidden),
            "other": Param(hidden, hidden),
            "table": Param(Axis("positions", dims.context), hidden),
            "experts": Param(Axis("experts", EXPERTS), hidden, hidden),
            "maps": Param(Axis("head_rows", HEADS * 5), Axis("head_dim", WIDTH)),
        }

    def state(self, dims: Dims) -> dict[str, State]:
        state = TokenState((Axis("kv_heads", KV_HEADS), Axis("head_dim", WIDTH)))
        return {"keys": state, "values": state} if "attention" in self.case else {}

    def entries(self) -> dict[str, Callable[[Ops, Scope, Context], dict[str, Tensor]]]:
        def step(ops: Ops, w: Any, ctx: Context) -> dict[str, Tensor]:
            x, y = ops.rows(w.x, ctx.ids), ops.rows(w.y, ctx.ids)
            result = CASES[self.case](ops, w, x, y, ctx)
            return {"logits": ops.select(result, ctx.out_rows)}

        return {"step": step}


class BackendSuite(EntrySuite):
    """Give `name`. Each op of `CASES` runs in a model of its own, on the backend and on `numpy`."""

    kind: ClassVar[str] = "backend"
    tolerance: ClassVar[float] = 1e-5
    """Largest difference, as a share of the largest number."""

    def make(self) -> Backend:
        """The backend, as the runtime makes it."""
        return self.entry()(self.catalog())

    def on(self, backend: Backend | None) -> Prober:
        """A prober of a backend; None: of the reference."""
        catalog = self.catalog()
        return catalog.get("backend", "numpy")(catalog).prober(backend)

    def sequences(self) -> list[list[int]]:
        """Token ids of several lengths."""
        return [[(5 * i + n) % 30 for i in range(n)] for n in (21, 1, 7)]

    def test_works_here(self) -> None:
        """It says that it works on this machine; where it does not, do not run the suite."""
        assert self.make().available() == ""

    def test_every_op_equals_the_reference(self) -> None:
        """Every op, in every form, gives what the numpy backend gives, within `tolerance`."""
        wrong: dict[str, str] = {}
        for case in CASES:
            model = OpProbe(hidden=HIDDEN, vocab=30, case=case)
            expected = b"".join(self.on(None).run(model, self.sequences(), how="eager"))
            found = b"".join(self.on(self.make()).run(model, self.sequences()))
            x, y = array("f", expected), array("f", found)
            worst = max(abs(a - b) for a, b in zip(x, y, strict=True))
            if not worst <= self.tolerance * max(1.0, max(map(abs, x))):
                wrong[case] = f"differs by {worst}"
        assert not wrong

    def test_numeric_law_of_every_op(self) -> None:
        """Of each op the same bits alone, among others, in chunks, and with pages anywhere."""
        wrong: list[str] = []
        for case in CASES:
            model, prober = OpProbe(hidden=HIDDEN, vocab=30, case=case), self.on(self.make())
            together = prober.run(model, self.sequences())
            alone = [prober.run(model, [sequence])[0] for sequence in self.sequences()]
            whole = reads_whole(trace(model, model.dims(64), OpTable(self.catalog())), "step")
            chunk = None if whole else 5
            chunked = prober.run(model, self.sequences(), chunk=chunk, shuffle_pages=True)
            if not together == alone == chunked:
                wrong.append(case)
        assert not wrong

    def test_a_footprint_looks_at_shapes_and_formats_alone(self) -> None:
        """`footprint`, where it has one, reads no weight, and its numbers grow with the sizes."""
        backend = self.make()
        if not isinstance(backend, FootprintBackend):
            return
        model = OpProbe(hidden=HIDDEN, vocab=30, case="attention")
        graph = trace(model, model.dims(64), OpTable(self.catalog()))
        weights = {path: UnreadWeight(param.shape) for path, param in graph.params.items()}
        footprint = backend.footprint(graph, weights)
        assert footprint.weights
        assert footprint.weights.keys() <= graph.params.keys()
        assert all(held.nbytes > 0 for held in footprint.weights.values())
        small = Sizes(pages=5, page_tokens=16, max_tokens=8, max_sequences=2, context=64)
        large = replace(small, pages=10, max_tokens=16, max_sequences=4)
        assert 0 < footprint.cache(small) * 2 == footprint.cache(large)
        assert 0 < footprint.scratch(small) <= footprint.scratch(large)


@dataclass(frozen=True)
class UnreadWeight:
    """A weight that may not be read."""

    shape: tuple[int, ...]
    format: str = "f32"

    def packed(self) -> Any:
        raise AssertionError("a footprint reads no weights")

    def values(self) -> Any:
        raise AssertionError("a footprint reads no weights")
