"""decoder_only: a causal language model."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from inferflow_core.axes import Dims
from inferflow_core.block import Embedding, Head, Layer, Model, Norm, Position, Scope, layers_field
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor


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

    def aliases(self, dims: Dims) -> dict[str, str]:
        if not self.head.is_tied():
            return {}
        return {f"head.{self.head.tied_weight}": f"embed.{self.embed.table}"}

    def entries(self) -> dict[str, Callable[[Ops, Scope, Context], dict[str, Tensor]]]:
        return {"step": self.step}

    def step(self, ops: Ops, w: Scope, ctx: Context) -> dict[str, Tensor]:
        """Outputs for the rows of `ctx.out_rows`: hidden [R, hidden], logits [R, vocab]."""
        table = w.get(f"embed.{self.embed.table}")
        shared = None if self.position is None else (self.position, w.position)
        ctx = replace(ctx, token_table=table, position=shared)
        x = self.embed(ops, w.embed, ctx.ids, ctx)
        for index, layer in enumerate(self.layers):
            x = ops.call(layer, w.layers[index], x, ctx)
        x = ops.select(x, ctx.out_rows)
        hidden = x if self.norm is None else self.norm(ops, w.norm, x, ctx)
        return {"hidden": hidden, "logits": self.head(ops, w.head, hidden, ctx)}
