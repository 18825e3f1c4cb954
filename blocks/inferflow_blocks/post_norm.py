"""post_norm: residual layer with norms behind its sums."""

from dataclasses import dataclass

from inferflow_core.block import FFN, Layer, Mixer, Norm, Scope
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor


@dataclass(frozen=True, kw_only=True)
class PostNorm(Layer):
    """norm(x + branch(x)), for the mixer, then cross, then the ffn (Vaswani et al. 2017)."""

    mixer: Mixer
    """Mixes over tokens."""
    ffn: FFN
    """Mixes over channels."""
    mixer_norm: Norm
    """Behind the mixer's sum."""
    ffn_norm: Norm
    """Behind the ffn's sum."""
    cross: Mixer | None = None
    """Attention over the encoder's output, between mixer and ffn."""
    cross_norm: Norm | None = None
    """Behind cross's sum."""

    def __post_init__(self) -> None:
        if (self.cross is None) != (self.cross_norm is None):
            raise ValueError("cross and cross_norm go together: both, or neither")

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        x = self.mixer_norm(ops, w.mixer_norm, x + self.mixer(ops, w.mixer, x, ctx), ctx)
        if self.cross is not None and self.cross_norm is not None:
            y = self.cross.recall(ops, w.cross, x, ctx)
            x = self.cross_norm(ops, w.cross_norm, x + y, ctx)
        return self.ffn_norm(ops, w.ffn_norm, x + self.ffn(ops, w.ffn, x, ctx), ctx)
