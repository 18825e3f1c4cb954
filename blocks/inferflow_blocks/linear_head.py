"""linear_head: hidden states to logits."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Self

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import Head, Param, Scope
from inferflow_core.checks import above_zero, at_least
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor


@dataclass(frozen=True, kw_only=True)
class LinearHead(Head):
    """logits = softcap(scale * (project(x) @ weight.T + bias)).

    A tied head's weight is the token table; `tied = "auto"` is settled by whether the checkpoint
    has a tensor for it.
    """

    tied: bool | Literal["auto"] = "auto"
    """The weight is the token table; auto: where the checkpoint has none for it."""
    bias: bool = False
    """Whether there is one."""
    scale: float | None = None
    """Multiplies the logits."""
    softcap: float | None = None
    """c * tanh(logits / c)."""
    width: int | None = None
    """Projects hidden to this width first, without bias, unless it has it."""

    def __post_init__(self) -> None:
        at_least(1, self, "width")
        above_zero(self, "softcap")

    def is_tied(self) -> bool:
        return self.tied is True

    def decide(self, has: Callable[[str], bool]) -> Self:
        return replace(self, tied=not has("weight")) if self.tied == "auto" else self

    def _projects(self, dims: Dims) -> bool:
        return self.width is not None and self.width != dims.hidden.length

    def params(self, dims: Dims) -> dict[str, Param]:
        inner = dims.hidden if self.width is None else Axis("embed", self.width)
        params: dict[str, Param] = {}
        if self._projects(dims):
            params["project.weight"] = Param(inner, dims.hidden)
        if not self.is_tied():
            params["weight"] = Param(dims.vocab, inner)
        if self.bias:
            params["bias"] = Param(dims.vocab)
        return params

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        if self._projects(ctx.dims):
            x = ops.linear(x, w.project.weight)
        weight = ctx.token_table if self.is_tied() else w.weight
        logits = ops.linear(x, weight, w.get("bias"))
        if self.scale is not None:
            logits = logits * self.scale
        return logits if self.softcap is None else ops.softcap(logits, self.softcap)
