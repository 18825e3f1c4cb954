"""Probes: the smallest model around one block, so that it runs eagerly, traced and decomposed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Protocol, cast

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import (
    Block,
    Head,
    Layer,
    Model,
    Param,
    Position,
    Router,
    Scope,
    State,
    TokenState,
)
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor

How = Literal["eager", "traced", "decomposed"]


class Prober(Protocol):
    """What a backend gives the suites: it runs a model on random weights."""

    def run(
        self,
        model: Model,
        sequences: Sequence[Sequence[int]],
        *,
        how: How = "traced",
        chunk: int | None = None,
        shuffle_pages: bool = False,
        seed: int = 0,
    ) -> list[bytes]:
        """The float32 bytes of output `logits` for every token of each sequence.

        All sequences run together, `chunk` tokens of each a step (None: all at once). Weights
        depend on `seed` and their path alone.
        """
        ...

    def apply(self, block: Block, weights: Mapping[str, Any], x: Any) -> Any:
        """The block's `forward`, run eagerly on numbers of one's own: for a test of its formula.

        `weights` has nested lists or arrays by param path, `x` is [tokens, hidden]; the tokens are
        one sequence. For blocks without a cache.
        """
        ...

    def array(self, numbers: Sequence[float], shape: Sequence[int]) -> Any:
        """A float32 array of the reference backend."""
        ...


@dataclass(frozen=True, kw_only=True)
class Probe(Model):
    """ids -> random vectors -> the block -> output."""

    block: Block

    def params(self, dims: Dims) -> dict[str, Param]:
        return {"table.weight": Param(dims.vocab, dims.hidden)}

    def entries(self) -> dict[str, Callable[[Ops, Scope, Context], dict[str, Tensor]]]:
        looks_back = getattr(self.block, "cross", None) is not None
        return {"step": self.step} | ({"encode": self.encode} if looks_back else {})

    def encode(self, ops: Ops, w: Scope, ctx: Context) -> dict[str, Tensor]:
        x = ops.rows(w.table.weight, ctx.ids)
        cast("Layer", self.block).remember(ops, w.block, x, ctx)
        return {"hidden": x}

    def step(self, ops: Ops, w: Scope, ctx: Context) -> dict[str, Tensor]:
        x = ops.rows(w.table.weight, ctx.ids)
        ctx = replace(ctx, token_table=w.table.weight)
        return {"logits": ops.select(self.apply(ops, w, x, ctx), ctx.out_rows)}

    def apply(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        return ops.call(self.block, w.block, x, ctx)


@dataclass(frozen=True, kw_only=True)
class HeadProbe(Probe):
    """A result of a sequence is that of each of its tokens."""

    def apply(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        result = self.block(ops, w.block, x, ctx)
        whole = cast("Head", self.block).reads() == "tokens"
        return ops.select(result, ctx.seq_of) if whole else result


@dataclass(frozen=True, kw_only=True)
class EmbeddingProbe(Probe):
    """The embedding reads the ids themselves."""

    def apply(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        return self.block(ops, w.block, ctx.ids, ctx)


@dataclass(frozen=True, kw_only=True)
class RouterProbe(Probe):
    """Outputs the chosen experts and their weights side by side."""

    EXPERTS: ClassVar[int] = 8

    def children(self, dims: Dims) -> dict[str, tuple[Block, Dims]]:
        return {"block": (self.block, replace(dims, experts=Axis("experts", self.EXPERTS)))}

    def apply(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        index, weight = cast("Router", self.block)(ops, w.block, x, ctx)
        return ops.concat(ops.to_float(index), weight)


@dataclass(frozen=True, kw_only=True)
class PositionProbe(Probe):
    """Attention of two heads over the rotated vectors, biased, plus what is added to embeddings."""

    HEADS: ClassVar[int] = 2

    def _axes(self, dims: Dims) -> tuple[Axis, Axis]:
        return Axis("heads", self.HEADS), Axis("head_dim", dims.hidden.length // self.HEADS)

    def children(self, dims: Dims) -> dict[str, tuple[Block, Dims]]:
        return {"block": (self.block, replace(dims, heads=self._axes(dims)[0]))}

    def state(self, dims: Dims) -> dict[str, State]:
        return {"keys": TokenState(self._axes(dims))}

    def apply(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        position = cast("Position", self.block)
        added = position.embed(ops, w.block, ctx)
        x = x if added is None else x + added
        heads, width = self._axes(ctx.dims)
        q = ops.split_axis(x, heads, width)
        q = position.rotate(ops, w.block, q, ctx, width=width.length)
        bias = position.score_bias(ops, w.block, ctx, heads=self.HEADS)
        ops.append(w.keys, q, ctx)
        return ops.merge_axes(ops.attention(q, w.keys, w.keys, ctx, scale=0.3, bias=bias))


PROBES: dict[str, type[Probe]] = {
    "embedding": EmbeddingProbe,
    "head": HeadProbe,
    "router": RouterProbe,
    "position": PositionProbe,
}


def probe(block: Block, *, hidden: int, vocab: int) -> Model:
    """A model that is as good as the block alone."""
    if isinstance(block, Model):
        return block
    if isinstance(block, Head):
        block = block.decide(lambda _: True)
    cls: Any = PROBES.get(block.kind, Probe)
    return cls(hidden=hidden, vocab=vocab, block=block)
