"""rms_norm: root-mean-square norm."""

from dataclasses import dataclass

from inferflow_core.axes import Dims
from inferflow_core.block import Norm, Param, Scope
from inferflow_core.checks import at_least
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor


@dataclass(frozen=True, kw_only=True)
class RMSNorm(Norm):
    """Root-mean-square norm (Zhang & Sennrich 2019): x / sqrt(mean(x^2) + eps) * weight."""

    eps: float = 1e-5
    """Added to the mean square."""
    weight: bool = True
    """Whether there is a learned scale."""
    unit_offset: bool = False
    """Scale by 1 + weight."""

    def __post_init__(self) -> None:
        at_least(0, self, "eps")
        if self.unit_offset and not self.weight:
            raise ValueError("unit_offset is about the weight, and there is none")

    def params(self, dims: Dims) -> dict[str, Param]:
        return {"weight": Param(*dims.own, dims.hidden)} if self.weight else {}

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        return ops.rms_norm(x, w.get("weight"), eps=self.eps, unit_offset=self.unit_offset)
