"""A stack: embedding, layers and norm, the part that all models have in common."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import (
    Block,
    Embedding,
    Layer,
    Mixer,
    Norm,
    Position,
    Scope,
    layers_field,
    walk,
)

if TYPE_CHECKING:
    from inferflow_core.context import Context
    from inferflow_core.ops import Ops, Tensor


@dataclass(frozen=True, kw_only=True)
class Stack(Block):
    """One stack of layers. In a spec it is a table without `use`."""

    kind: ClassVar[str] = "stack"
    embed: Embedding
    """From ids to vectors."""
    layers: tuple[Layer, ...] = layers_field()
    position: Position | None = None
    """One table shared by the mixers of all layers."""
    norm: Norm | None = None
    """After the last layer."""

    def children(self, dims: Dims) -> dict[str, tuple[Block, Dims]]:
        children = super().children(dims)
        if self.position is not None:
            told = dataclasses.replace(dims, heads=self._heads(dims))
            children["position"] = (self.position, told)
        return children

    def _heads(self, dims: Dims) -> Axis | None:
        """Those of the first mixer that has any."""
        mixers = (block for layer in self.layers for _, block, _ in walk(layer, dims))
        counts = (mixer.score_heads() for mixer in mixers if isinstance(mixer, Mixer))
        return next((Axis("heads", count) for count in counts if count is not None), None)

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        """ids int [tokens] -> [tokens, hidden], before the norm."""
        shared = None if self.position is None else (self.position, w.position)
        ctx = dataclasses.replace(ctx, position=shared)
        x = self.embed(ops, w.embed, x, ctx)
        for index, layer in enumerate(self.layers):
            x = ops.call(layer, w.layers[index], x, ctx)
        return x

    def normed(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        """x [rows, hidden] after the norm."""
        return x if self.norm is None else self.norm(ops, w.norm, x, ctx)

    def looks_back(self) -> bool:
        """Whether a layer looks at an encoder's output."""
        return any(getattr(layer, "cross", None) is not None for layer in self.layers)

    def refuse_cross(self) -> None:
        """For a model in which there is no encoder to look at. Raises ValueError."""
        if self.looks_back():
            raise ValueError("a layer has `cross`, and there is no encoder that it could look at")

    @property
    def table(self) -> str:
        """Path of the token table."""
        return f"embed.{self.embed.table}"
