"""token_embedding: ids to vectors."""

from dataclasses import dataclass, replace
from typing import Literal

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import Block, Embedding, Norm, Param, Position, Scope, linear_params
from inferflow_core.checks import at_least
from inferflow_core.context import Context
from inferflow_core.errors import ShapeError
from inferflow_core.ops import Ops, Tensor, linear


@dataclass(frozen=True, kw_only=True)
class TokenEmbedding(Embedding):
    """token * scale -> (project tokens) -> + types -> + position -> norm -> (project the sum)."""

    width: int | None = None
    """Width of the tables; absent: hidden."""
    project: Literal["none", "tokens", "sum"] = "none"
    """Where width becomes hidden: the token's vector, or the normed sum. Equal ones need no map."""
    project_bias: bool = False
    """Bias of that projection."""
    scale: float = 1.0
    """Multiplies the tokens' vectors."""
    position: Position | None = None
    """Added to the tokens."""
    types: int = 0
    """Rows of the table of token types, which is added; 0: there is none; 1: it is everybody's."""
    norm: Norm | None = None
    """Of the sum."""

    def __post_init__(self) -> None:
        at_least(1, self, "width")
        at_least(0, self, "types")

    def _inner(self, dims: Dims) -> Axis:
        """The axis of the token table."""
        return dims.hidden if self.width is None else Axis("embed", self.width)

    def _projected(self, dims: Dims) -> str:
        """`project`, where there is something to project."""
        return "none" if self._inner(dims).size == dims.hidden.size else self.project

    def _summed(self, dims: Dims) -> Dims:
        """What types, position and norm see."""
        inner = self._inner(dims) if self.project == "sum" else dims.hidden
        return replace(dims, hidden=inner)

    def params(self, dims: Dims) -> dict[str, Param]:
        if self.project == "none" and self._inner(dims).size != dims.hidden.size:
            raise ShapeError(
                f"width is {self.width}, hidden is {dims.hidden.size}, and project is none",
                hint='project = "tokens" or "sum" says where one becomes the other',
            )
        params = {"tokens.weight": Param(dims.vocab, self._inner(dims))}
        if self._projected(dims) != "none":
            inner = self._inner(dims)
            params |= linear_params("project", dims.hidden, inner, bias=self.project_bias)
        if self.types:
            params["types.weight"] = Param(Axis("types", self.types), self._summed(dims).hidden)
        return params

    def children(self, dims: Dims) -> dict[str, tuple[Block, Dims]]:
        summed = self._summed(dims)
        return {name: (block, summed) for name, (block, _) in super().children(dims).items()}

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        y = ops.rows(w.tokens.weight, x)
        if self.scale != 1.0:
            y = y * self.scale
        if self._projected(ctx.dims) == "tokens":
            y = linear(ops, w.project, y)
        if self.types == 1:
            y = y + ops.value(w.types.weight)
        elif self.types:
            y = y + ops.rows(w.types.weight, ctx.token_types)
        if self.position is not None:
            summed = replace(ctx, dims=self._summed(ctx.dims))
            added = self.position.embed(ops, w.position, summed)
            y = y if added is None else y + added
        if self.norm is not None:
            y = self.norm(ops, w.norm, y, ctx)
        return linear(ops, w.project, y) if self._projected(ctx.dims) == "sum" else y
