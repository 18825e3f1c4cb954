"""example.scaled_norm: a root-mean-square norm with a constant factor."""

from dataclasses import dataclass

from inferflow_core.axes import Dims
from inferflow_core.block import Norm, Param, Scope
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor


@dataclass(frozen=True, kw_only=True)
class ScaledNorm(Norm):
    """x / sqrt(mean(x^2) + eps) * weight * scale; binds wherever `rms_norm` does."""

    eps: float = 1e-5
    scale: float = 1.0

    def params(self, dims: Dims) -> dict[str, Param]:
        return {"weight": Param(*dims.own, dims.hidden)}

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        y = ops.rms_norm(x, w.weight, eps=self.eps)
        return ops.op("example.scale")(y, factor=self.scale)
