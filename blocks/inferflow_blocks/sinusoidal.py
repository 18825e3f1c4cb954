"""sinusoidal: position vectors of sines and cosines."""

from dataclasses import dataclass
from typing import Literal

from inferflow_core.axes import Axis
from inferflow_core.block import Position, Scope
from inferflow_core.checks import at_least
from inferflow_core.context import Context
from inferflow_core.errors import ShapeError
from inferflow_core.ops import Ops, Tensor


@dataclass(frozen=True, kw_only=True)
class Sinusoidal(Position):
    """Sines and cosines of position * 10000^-e, added to the tokens (Vaswani et al. 2017).

    With h pairs of channels, e of pair j is j / h, or for `fairseq` j / (h - 1).
    """

    offset: int = 0
    """Index of position 0."""
    style: Literal["fairseq", "half", "interleaved"] = "half"
    """Channels are all sines, then all cosines; interleaved: sine, cosine, sine, …"""

    def __post_init__(self) -> None:
        at_least(0, self, "offset")

    def embed(self, ops: Ops, w: Scope, ctx: Context) -> Tensor:
        width = ctx.dims.hidden.length
        if width % 2:
            raise ShapeError(f"sinusoidal positions need an even width, not {width}")
        pairs = width // 2
        span = pairs - 1 if self.style == "fairseq" else pairs
        if not span:
            raise ShapeError("sinusoidal positions of style fairseq need two pairs, a width of 4")
        frequencies = [10000 ** (-j / span) for j in range(pairs)]
        index = ops.expand(ops.to_float(ctx.positions) + float(self.offset), -1)
        angle = index * ops.constant(frequencies, Axis("pairs", pairs))
        sine, cosine = ops.sin(angle), ops.cos(angle)
        if self.style != "interleaved":
            return ops.concat(sine, cosine)
        return ops.merge_axes(ops.concat(ops.expand(sine, -1), ops.expand(cosine, -1)))
