"""encoder_decoder: a network that reads one sequence whole and writes another."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from inferflow_core.axes import Dims
from inferflow_core.block import Block, Head, Model, Scope
from inferflow_core.context import Context
from inferflow_core.errors import ShapeError
from inferflow_core.ops import Ops, Tensor
from inferflow_core.stack import Stack


@dataclass(frozen=True, kw_only=True)
class EncoderDecoder(Model):
    """Two stacks (Vaswani et al. 2017). Entry `encode` runs the encoder once for each sequence and
    writes what the decoder's `cross` mixers read; entry `step` is the decoder."""

    encoder: Stack
    """Reads the source: embed, depth, layer, position, norm."""
    decoder: Stack
    """Writes the target; its layers have `cross`."""
    share_embed: bool = True
    """One token table for both."""
    head: Head
    """From the decoder's hidden states to logits; tied: to the decoder's token table."""

    def __post_init__(self) -> None:
        self.encoder.refuse_cross()
        if not self.decoder.looks_back():
            raise ValueError("no layer of the decoder has `cross`: none looks at the encoder")

    def children(self, dims: Dims) -> dict[str, tuple[Block, Dims]]:
        source = replace(dims, source=True)
        return {
            "encoder": (self.encoder, source),
            "decoder": (self.decoder, dims),
            "head": (self.head, dims),
        }

    def aliases(self, dims: Dims) -> dict[str, str]:
        tables = [
            stack.embed.params(dims)[stack.embed.table] for stack in (self.encoder, self.decoder)
        ]
        if self.share_embed and tables[0] != tables[1]:
            raise ShapeError(
                f"share_embed: the encoder's table is {list(tables[0].shape)}, the decoder's "
                f"{list(tables[1].shape)}"
            )
        ours = f"decoder.{self.decoder.table}"
        shared = f"encoder.{self.encoder.table}" if self.share_embed else ours
        aliases = {ours: shared} if self.share_embed else {}
        return aliases | ({f"head.{self.head.tied_weight}": shared} if self.head.is_tied() else {})

    def entries(self) -> dict[str, Callable[[Ops, Scope, Context], dict[str, Tensor]]]:
        return {"encode": self.encode, "step": self.step}

    def encode(self, ops: Ops, w: Scope, ctx: Context) -> dict[str, Tensor]:
        """Output for the rows of `ctx.out_rows`: hidden [R, hidden], the encoder's."""
        x = self.encoder(ops, w.encoder, ctx.ids, ctx)
        x = self.encoder.normed(ops, w.encoder, x, ctx)
        for index, layer in enumerate(self.decoder.layers):
            layer.remember(ops, w.decoder.layers[index], x, ctx)
        return {"hidden": ops.select(x, ctx.out_rows)}

    def step(self, ops: Ops, w: Scope, ctx: Context) -> dict[str, Tensor]:
        """Outputs for the rows of `ctx.out_rows`: hidden [R, hidden], logits [R, vocab]."""
        ctx = replace(ctx, token_table=w.decoder.get(self.decoder.table))
        x = ops.select(self.decoder(ops, w.decoder, ctx.ids, ctx), ctx.out_rows)
        hidden = self.decoder.normed(ops, w.decoder, x, ctx)
        return {"hidden": hidden, "logits": self.head(ops, w.head, hidden, ctx)}
