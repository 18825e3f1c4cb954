"""parallel: residual layer whose branches run beside each other."""

from dataclasses import dataclass

from inferflow_core.block import FFN, Layer, Mixer, Norm, Scope
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor


@dataclass(frozen=True, kw_only=True)
class Parallel(Layer):
    """x + s * (mixer(norm(x)) + ffn(norm(x))) (Wang & Komatsuzaki 2021, GPT-J)."""

    mixer: Mixer
    """Mixes over tokens."""
    ffn: FFN
    """Mixes over channels."""
    mixer_norm: Norm
    """Before the mixer."""
    ffn_norm: Norm | None = None
    """Before the ffn; absent: it reads the mixer's norm."""
    residual_scale: float = 1.0
    """Multiplies the sum of both branches."""

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        normed = self.mixer_norm(ops, w.mixer_norm, x, ctx)
        other = normed if self.ffn_norm is None else self.ffn_norm(ops, w.ffn_norm, x, ctx)
        y = self.mixer(ops, w.mixer, normed, ctx) + self.ffn(ops, w.ffn, other, ctx)
        return x + (y if self.residual_scale == 1.0 else y * self.residual_scale)
