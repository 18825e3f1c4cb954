"""pooler: one vector for a sequence."""

from dataclasses import dataclass
from typing import Literal

from inferflow_core.axes import Dims
from inferflow_core.block import Act, Head, Param, Scope, linear_params
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor, linear

TINY = 1e-24
"""Least square of a length that is divided by."""


@dataclass(frozen=True, kw_only=True)
class Pooler(Head):
    """A sequence's first state, its last, or the mean of all; then maybe a dense layer (Devlin et
    al. 2019), maybe to unit length (Reimers & Gurevych 2019)."""

    pool: Literal["first", "last", "mean"] = "first"
    """Which state stands for the sequence."""
    dense: bool = True
    """A map from hidden to hidden with a bias."""
    act: Act = "tanh"
    """After the dense."""
    normalize: bool = False
    """To unit length."""
    optional: bool = False
    """Dropped where the checkpoint has none of its tensors."""

    def reads(self) -> str:
        return "tokens"

    def droppable(self) -> bool:
        return self.optional

    def params(self, dims: Dims) -> dict[str, Param]:
        return linear_params("dense", dims.hidden, dims.hidden, bias=True) if self.dense else {}

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        """x [tokens, hidden] -> [sequences, hidden]."""
        y = ops.pool(x, ctx, self.pool)
        if self.dense:
            y = ops.activation(linear(ops, w.dense, y), self.act)
        if self.normalize:
            y = ops.div(y, ops.sqrt(ops.maximum(ops.sum(y * y), TINY)))
        return y
