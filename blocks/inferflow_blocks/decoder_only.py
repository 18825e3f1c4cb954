"""decoder_only: a causal language model."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from inferflow_core.axes import Dims
from inferflow_core.block import (
    Block,
    Embedding,
    Head,
    Layer,
    Model,
    Norm,
    Position,
    Scope,
    layers_field,
)
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor
from inferflow_core.stack import Stack


@dataclass(frozen=True, kw_only=True)
class DecoderOnly(Model):
    """Embedding, layers, norm, head. Entry `step`: outputs `hidden` (normed) and `logits`."""

    embed: Embedding
    """From ids to vectors."""
    layers: tuple[Layer, ...] = layers_field()
    position: Position | None = None
    """One table shared by the mixers of all layers."""
    norm: Norm | None = None
    """After the last layer."""
    head: Head
    """From hidden states to logits."""

    def __post_init__(self) -> None:
        self.stack.refuse_cross()

    @property
    def stack(self) -> Stack:
        return Stack(embed=self.embed, layers=self.layers, position=self.position, norm=self.norm)

    def children(self, dims: Dims) -> dict[str, tuple[Block, Dims]]:
        return {**self.stack.children(dims), "head": (self.head, dims)}

    def aliases(self, dims: Dims) -> dict[str, str]:
        if not self.head.is_tied():
            return {}
        return {f"head.{self.head.tied_weight}": self.stack.table}

    def entries(self) -> dict[str, Callable[[Ops, Scope, Context], dict[str, Tensor]]]:
        return {"step": self.step}

    def step(self, ops: Ops, w: Scope, ctx: Context) -> dict[str, Tensor]:
        """Outputs for the rows of `ctx.out_rows`: hidden [R, hidden], logits [R, vocab]."""
        ctx = replace(ctx, token_table=w.get(self.stack.table))
        x = ops.select(self.stack.forward(ops, w, ctx.ids, ctx), ctx.out_rows)
        hidden = self.stack.normed(ops, w, x, ctx)
        return {"hidden": hidden, "logits": self.head(ops, w.head, hidden, ctx)}
