"""layer_norm: the norm by mean and variance."""

from dataclasses import dataclass

from inferflow_core.axes import Dims
from inferflow_core.block import Norm, Param, Scope
from inferflow_core.checks import at_least
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor


@dataclass(frozen=True, kw_only=True)
class LayerNorm(Norm):
    """Layer norm (Ba et al. 2016): (x - mean) / sqrt(variance + eps) * weight + bias."""

    eps: float = 1e-5
    """Added to the variance."""
    weight: bool = True
    """Whether there is a learned scale."""
    bias: bool = True
    """Whether there is a learned shift."""
    unit_offset: bool = False
    """Scale by 1 + weight."""

    def __post_init__(self) -> None:
        at_least(0, self, "eps")
        if self.unit_offset and not self.weight:
            raise ValueError("unit_offset is about the weight, and there is none")

    def params(self, dims: Dims) -> dict[str, Param]:
        param = Param(*dims.own, dims.hidden)
        return {name: param for name in ("weight", "bias") if getattr(self, name)}

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        weight, bias = w.get("weight"), w.get("bias")
        return ops.layer_norm(x, weight, bias, eps=self.eps, unit_offset=self.unit_offset)
