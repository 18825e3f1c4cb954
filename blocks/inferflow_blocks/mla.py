"""mla: multi-head latent attention."""

from dataclasses import dataclass, replace

from inferflow_core.axes import ONE, Axis, Dims
from inferflow_core.block import (
    Block,
    Mixer,
    Norm,
    Param,
    Position,
    Scope,
    State,
    TokenState,
    linear_params,
)
from inferflow_core.checks import at_least
from inferflow_core.context import Context
from inferflow_core.errors import ShapeError
from inferflow_core.ops import Ops, Tensor, linear


@dataclass(frozen=True, kw_only=True)
class MLA(Mixer):
    """Attention whose keys and values of all heads are made from one short latent vector a token
    (DeepSeek-AI 2024, "DeepSeek-V2").

    Only that vector and one rotated key are cached. The maps from it to each head's keys and values
    (`kv_b`) are applied to the queries and to the result instead, which is the same product.
    """

    heads: int
    """Heads."""
    q_rank: int | None = None
    """Rank of q; absent: one full projection."""
    kv_rank: int
    """Width of the latent vector."""
    nope_dim: int
    """Part of a head's q and k that is not rotated."""
    rope_dim: int
    """Rotated part; all heads share that of k."""
    v_dim: int
    """Width of a head's v."""
    norm: Norm
    """Of the latent vectors of q and of k and v, with weights of their own."""
    position: Position | None = None
    """Rotates the rope part."""
    bias: bool = False
    """Biases of the maps down to the latent vectors, and of the output."""
    scale: float | None = None
    """Multiplies the scores; absent: 1 / sqrt(nope_dim + rope_dim), times what the position says
    for a stretched context."""

    def __post_init__(self) -> None:
        at_least(1, self, "heads", "q_rank", "kv_rank", "nope_dim", "rope_dim", "v_dim")

    def params(self, dims: Dims) -> dict[str, Param]:
        heads, kv_rank = Axis("heads", self.heads), Axis("kv_rank", self.kv_rank)
        q = Axis.flat(heads, Axis("qk_dim", self.nope_dim + self.rope_dim))
        down = Axis("kv_down", self.kv_rank + self.rope_dim)
        up = Axis.flat(heads, Axis("kv_dim", self.nope_dim + self.v_dim))
        params = {
            **linear_params("kv_a", down, dims.hidden, bias=self.bias),
            "kv_b.weight": Param(up, kv_rank),
            **linear_params(
                "o", dims.hidden, Axis.flat(heads, Axis("v_dim", self.v_dim)), bias=self.bias
            ),
        }
        if self.q_rank is None:
            return params | {"q.weight": Param(q, dims.hidden)}
        q_rank = Axis("q_rank", self.q_rank)
        params |= linear_params("q_a", q_rank, dims.hidden, bias=self.bias)
        return params | {"q_b.weight": Param(q, q_rank)}

    def children(self, dims: Dims) -> dict[str, tuple[Block, Dims]]:
        children = super().children(dims)
        del children["norm"]
        for name, rank in (("q_norm", self.q_rank), ("kv_norm", self.kv_rank)):
            if rank is not None:
                children[name] = (self.norm, replace(dims, hidden=Axis(name, rank)))
        if self.position is not None:
            children["position"] = (self.position, replace(dims, heads=Axis("heads", self.heads)))
        return children

    def state(self, dims: Dims) -> dict[str, State]:
        if dims.source:
            raise ShapeError("MLA is causal: it mixes over a decoder's own tokens only")
        return {"latent": TokenState((ONE, Axis("latent", self.kv_rank + self.rope_dim)))}

    def score_heads(self) -> int:
        return self.heads

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        position = (self.position, w.position) if self.position is not None else ctx.position
        factor, bias = 1.0, None

        def rotated(y: Tensor) -> Tensor:
            if position is None:
                return y
            return position[0].rotate(ops, position[1], y, ctx, width=self.rope_dim)

        if position is not None:
            factor = position[0].score_factor()
            bias = position[0].score_bias(ops, position[1], ctx, heads=self.heads)
        whole = self.nope_dim + self.rope_dim
        down = linear(ops, w.kv_a, x)
        latent = self.norm(ops, w.kv_norm, ops.slice(down, 0, self.kv_rank), ctx)
        key = ops.slice(down, self.kv_rank, self.kv_rank + self.rope_dim)
        ops.append(w.latent, ops.concat(ops.expand(latent, -2), rotated(ops.expand(key, -2))), ctx)
        q = ops.split_axis(
            self._query(ops, w, x, ctx), Axis("heads", self.heads), Axis("qk_dim", whole)
        )
        up = w.kv_b.weight
        plain = ops.head_linear(
            ops.slice(q, 0, self.nope_dim), up, start=0, stop=self.nope_dim, transpose=True
        )
        q = ops.concat(plain, rotated(ops.slice(q, self.nope_dim, whole)))
        scale = self.scale if self.scale is not None else factor * whole**-0.5
        mixed = ops.attention(q, w.latent, w.latent, ctx, scale=scale, bias=bias)
        mixed = ops.slice(mixed, 0, self.kv_rank)
        v = ops.head_linear(mixed, up, start=self.nope_dim, stop=self.nope_dim + self.v_dim)
        return linear(ops, w.o, ops.merge_axes(v))

    def _query(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        """[tokens, heads * (nope_dim + rope_dim)]."""
        if self.q_rank is None:
            return ops.linear(x, w.q.weight)
        return ops.linear(self.norm(ops, w.q_norm, linear(ops, w.q_a, x), ctx), w.q_b.weight)
