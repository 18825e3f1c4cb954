"""attention: multi-head, grouped-query and multi-query attention over the cache."""

from dataclasses import dataclass, replace
from typing import Literal

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import (
    Block,
    Mixer,
    Norm,
    Param,
    Position,
    Scope,
    SourceState,
    State,
    TokenState,
    linear_params,
)
from inferflow_core.checks import above_zero, at_least
from inferflow_core.context import Context
from inferflow_core.errors import ShapeError
from inferflow_core.ops import Ops, Tensor, linear


@dataclass(frozen=True, kw_only=True)
class Attention(Mixer):
    """Softmax attention (Vaswani et al. 2017) with shared kv heads (Ainslie et al. 2023).

    Params: q, k, v, o (weights [out, in], heads outermost), `q_norm`, `k_norm`, `sinks`.
    """

    heads: int
    """Query heads."""
    kv_heads: int | None = None
    """Key and value heads; absent: as many as heads."""
    head_dim: int | None = None
    """Channels of a head; absent: hidden / heads."""
    qkv_bias: bool = False
    """Biases of q, k and v."""
    out_bias: bool = False
    """Bias of the output projection."""
    position: Position | None = None
    """Rotates q and k, or adds to the scores."""
    scale: float | None = None
    """Multiplies the scores; absent: 1 / sqrt(head_dim)."""
    softcap: float | None = None
    """c * tanh(scores / c)."""
    window: int | None = None
    """The last so many tokens are seen, itself included; not causal: half to each side."""
    causal: bool = True
    """Whether later tokens are hidden."""
    qk_norm: Norm | None = None
    """Norms q and k before they are rotated."""
    qk_norm_over: Literal["head", "own", "whole"] = "head"
    """One weight for all heads, each head's own, or all heads as one vector."""
    sinks: bool = False
    """A learned score for each head in the softmax's denominator."""
    clip: float | None = None
    """Clamps q, k and v to ± clip."""

    def __post_init__(self) -> None:
        at_least(1, self, "heads", "kv_heads", "head_dim", "window")
        above_zero(self, "softcap", "clip")
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.kv_heads} kv_heads equally")

    def _axes(self, dims: Dims) -> tuple[Axis, Axis, Axis]:
        """heads, kv heads, channels of a head."""
        width, rest = divmod(dims.hidden.length, self.heads)
        if self.head_dim is not None:
            width = self.head_dim
        elif rest:
            raise ShapeError(
                f"attention: hidden {dims.hidden.length} cannot be {self.heads} equal heads",
                hint="head_dim says how wide a head is",
            )
        kv_heads = self.heads if self.kv_heads is None else self.kv_heads
        return Axis("heads", self.heads), Axis("kv_heads", kv_heads), Axis("head_dim", width)

    def params(self, dims: Dims) -> dict[str, Param]:
        heads, kv_heads, width = self._axes(dims)
        q, kv = Axis.flat(heads, width), Axis.flat(kv_heads, width)
        params = {
            **linear_params("q", q, dims.hidden, bias=self.qkv_bias),
            **linear_params("k", kv, dims.hidden, bias=self.qkv_bias),
            **linear_params("v", kv, dims.hidden, bias=self.qkv_bias),
            **linear_params("o", dims.hidden, q, bias=self.out_bias),
        }
        return params | ({"sinks": Param(heads)} if self.sinks else {})

    def children(self, dims: Dims) -> dict[str, tuple[Block, Dims]]:
        children = super().children(dims)
        heads, kv_heads, width = self._axes(dims)
        if self.position is not None:
            children["position"] = (self.position, replace(dims, heads=heads))
        norm = children.pop("qk_norm", None)
        if norm is not None:
            for name, axis in (("q_norm", heads), ("k_norm", kv_heads)):
                inner = Axis.flat(axis, width) if self.qk_norm_over == "whole" else width
                own = (axis,) if self.qk_norm_over == "own" else ()
                children[name] = (norm[0], replace(dims, hidden=inner, own=own))
        return children

    def state(self, dims: Dims) -> dict[str, State]:
        _, kv_heads, width = self._axes(dims)
        window = self.window if self.causal else None
        axes = (kv_heads, width)
        state = SourceState(axes) if dims.source else TokenState(axes, window=window)
        return {"keys": state, "values": state}

    def score_heads(self) -> int:
        return self.heads

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        self._write(ops, w, x, self._placed(w, ctx))
        return self._read(ops, w, x, self._placed(w, ctx), source=False)

    def remember(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> None:
        self._write(ops, w, x, replace(ctx, position=self._own(w)))

    def recall(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        return self._read(ops, w, x, replace(ctx, position=self._own(w)), source=True)

    def _own(self, w: Scope) -> tuple[Position, Scope] | None:
        return None if self.position is None else (self.position, w.position)

    def _placed(self, w: Scope, ctx: Context) -> Context:
        """The context with the position that counts: its own, or else the stack's."""
        return replace(ctx, position=self._own(w) or ctx.position)

    def _write(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> None:
        """Appends keys and values of x."""
        _, kv_heads, width = self._axes(ctx.dims)
        ops.append(w.keys, self._rotated(ops, w, x, ctx, "k", kv_heads, width), ctx)
        ops.append(w.values, self._project(ops, w, x, ctx, "v", kv_heads, width), ctx)

    def _read(self, ops: Ops, w: Scope, x: Tensor, ctx: Context, *, source: bool) -> Tensor:
        heads, _, width = self._axes(ctx.dims)
        q = self._rotated(ops, w, x, ctx, "q", heads, width)
        bias = None
        if ctx.position is not None:
            rule, rule_w = ctx.position
            bias = rule.score_bias(ops, rule_w, ctx, heads=self.heads)
        scale = self.scale if self.scale is not None else width.length**-0.5
        mixed = ops.attention(
            q,
            w.keys,
            w.values,
            ctx,
            scale=scale,
            causal=self.causal,
            window=self.window,
            softcap=self.softcap,
            sinks=w.get("sinks"),
            bias=bias,
            source=source,
        )
        return linear(ops, w.o, ops.merge_axes(mixed))

    def _rotated(
        self, ops: Ops, w: Scope, x: Tensor, ctx: Context, name: str, heads: Axis, width: Axis
    ) -> Tensor:
        """q or k, turned by the position."""
        y = self._project(ops, w, x, ctx, name, heads, width)
        if ctx.position is None:
            return y
        rule, rule_w = ctx.position
        return rule.rotate(ops, rule_w, y, ctx, width=width.length)

    def _project(
        self, ops: Ops, w: Scope, x: Tensor, ctx: Context, name: str, heads: Axis, width: Axis
    ) -> Tensor:
        """q, k or v: [tokens, heads, width], clipped and normed as the fields say."""
        y = linear(ops, w[name], x)
        if self.clip is not None:
            y = ops.clamp(y, -self.clip, self.clip)
        norm = None if name == "v" else self.qk_norm
        if norm is not None and self.qk_norm_over == "whole":
            y = norm(ops, w[f"{name}_norm"], y, ctx)
        y = ops.split_axis(y, heads, width)
        if norm is not None and self.qk_norm_over != "whole":
            y = norm(ops, w[f"{name}_norm"], y, ctx)
        return y
