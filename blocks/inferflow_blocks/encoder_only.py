"""encoder_only: a network that reads whole sequences, and what its heads make of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Self

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
    all_params,
    layers_field,
)
from inferflow_core.context import Context
from inferflow_core.errors import ShapeError, nearest
from inferflow_core.ops import Ops, Tensor
from inferflow_core.stack import Stack
from inferflow_core.table import Table

TAKEN = {"hidden", "tokens", "rows"}
"""An output, and what `Head.reads` may say beside the name of a head."""


@dataclass(frozen=True, kw_only=True)
class EncoderOnly(Model):
    """Embedding, layers, norm, heads. Entry `step`: outputs `hidden` (normed), and for each head
    its result under its name."""

    embed: Embedding
    """From ids to vectors."""
    layers: tuple[Layer, ...] = layers_field()
    position: Position | None = None
    """One table shared by the mixers of all layers."""
    norm: Norm | None = None
    """After the last layer."""
    heads: Mapping[str, Head] = Table({})
    """Named results beside the hidden states."""

    def __post_init__(self) -> None:
        self.stack.refuse_cross()
        taken = sorted(TAKEN & self.heads.keys())
        if taken:
            raise ValueError(f"no head can be called {taken[0]!r}: that is what heads read")

    @property
    def stack(self) -> Stack:
        return Stack(embed=self.embed, layers=self.layers, position=self.position, norm=self.norm)

    def children(self, dims: Dims) -> dict[str, tuple[Block, Dims]]:
        heads = {f"heads.{name}": (head, dims) for name, head in self.heads.items()}
        return {**self.stack.children(dims), **heads}

    def aliases(self, dims: Dims) -> dict[str, str]:
        return {
            f"heads.{name}.{head.tied_weight}": self.stack.table
            for name, head in self.heads.items()
            if head.is_tied()
        }

    def decide(self, has: Callable[[str], bool]) -> Self:
        """Also drops the heads that may be missing and are."""
        model = super().decide(has)
        dims = model.dims(1)
        kept: dict[str, Head] = {}
        for name, head in model.heads.items():
            paths = [f"heads.{name}.{path}" for path in all_params(head, dims)]
            if paths and head.droppable() and not any(has(path) for path in paths):
                continue
            kept[name] = head
        return replace(model, heads=Table(kept))

    def entries(self) -> dict[str, Callable[[Ops, Scope, Context], dict[str, Tensor]]]:
        return {"step": self.step}

    def step(self, ops: Ops, w: Scope, ctx: Context) -> dict[str, Tensor]:
        """hidden [R, hidden], and [R, …] or [S, …] of each head."""
        ctx = replace(ctx, token_table=w.get(self.stack.table))
        tokens = self.stack.normed(ops, w, self.stack.forward(ops, w, ctx.ids, ctx), ctx)
        known = {"tokens": tokens, "rows": ops.select(tokens, ctx.out_rows)}

        def result(name: str, asking: tuple[str, ...] = ()) -> Tensor:
            if name in known:
                return known[name]
            if name in asking:
                raise ShapeError(f"heads read each other in a circle: {' -> '.join(asking)}")
            if name not in self.heads:
                reader = asking[-1]
                raise ShapeError(f"head {reader!r} reads {name!r}.{nearest(name, self.heads)}")
            head = self.heads[name]
            x = result(head.reads(), (*asking, name))
            known[name] = head(ops, w.heads[name], x, ctx)
            return known[name]

        return {"hidden": known["rows"], **{name: result(name) for name in self.heads}}
