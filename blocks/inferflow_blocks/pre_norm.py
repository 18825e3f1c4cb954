"""pre_norm: residual layer with norms before (and, for sandwiches, after) its branches."""

from collections.abc import Callable
from dataclasses import dataclass

from inferflow_core.block import FFN, Layer, Mixer, Norm, Scope
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor

Branch = Callable[[Ops, Scope, Tensor, Context], Tensor]


@dataclass(frozen=True, kw_only=True)
class PreNorm(Layer):
    """x + s * out_norm(branch(norm(x))), for the mixer, then cross, then the ffn."""

    mixer: Mixer
    """Mixes over tokens."""
    ffn: FFN
    """Mixes over channels."""
    mixer_norm: Norm | None = None
    """Before the mixer."""
    ffn_norm: Norm | None = None
    """Before the ffn."""
    mixer_out_norm: Norm | None = None
    """After the mixer, before the sum (sandwich)."""
    ffn_out_norm: Norm | None = None
    """After the ffn, before the sum."""
    cross: Mixer | None = None
    """Attention over the encoder's output, between mixer and ffn."""
    cross_norm: Norm | None = None
    """Before cross."""
    residual_scale: float = 1.0
    """Multiplies each branch before its sum."""

    def __post_init__(self) -> None:
        if self.cross is None and self.cross_norm is not None:
            raise ValueError("cross_norm is about cross, and there is none")

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        def branch(name: str, run: Branch, x: Tensor) -> Tensor:
            before: Norm | None = getattr(self, f"{name}_norm")
            after: Norm | None = getattr(self, f"{name}_out_norm", None)
            y = x if before is None else before(ops, w[f"{name}_norm"], x, ctx)
            y = run(ops, w[name], y, ctx)
            y = y if after is None else after(ops, w[f"{name}_out_norm"], y, ctx)
            return x + (y if self.residual_scale == 1.0 else y * self.residual_scale)

        x = branch("mixer", self.mixer, x)
        if self.cross is not None:
            x = branch("cross", self.cross.recall, x)
        return branch("ffn", self.ffn, x)
