"""example.squash_norm: a norm without statistics."""

from dataclasses import dataclass

from inferflow_core.axes import Dims
from inferflow_core.block import Norm, Param, Scope
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor


@dataclass(frozen=True, kw_only=True)
class SquashNorm(Norm):
    """softsign(alpha * x) * weight, after "Transformers without normalization" (Zhu et al. 2025),
    which has tanh and learns alpha."""

    alpha: float = 1.0

    def params(self, dims: Dims) -> dict[str, Param]:
        return {"weight": Param(*dims.own, dims.hidden)}

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        return ops.op("example.softsign")(x * self.alpha) * ops.value(w.weight)
