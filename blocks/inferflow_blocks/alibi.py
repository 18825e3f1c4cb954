"""alibi: attention with linear biases."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from inferflow_core.axes import Axis
from inferflow_core.block import Position, Scope
from inferflow_core.checks import above_zero
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor


@dataclass(frozen=True, kw_only=True)
class Alibi(Position):
    """Scores fall by slope * distance, with a slope for each head (Press et al. 2022)."""

    max_bias: float = 8.0
    """Exponent of the last slope: with 2^n heads the slopes are 2^(-max_bias * i / 2^n)."""
    scale: float = 1.0
    """Multiplies the slopes."""

    def __post_init__(self) -> None:
        above_zero(self, "max_bias")

    def slopes(self, heads: int) -> list[float]:
        """Where heads are no power of two, those of the lower power and every second one of the
        next."""
        lower = 2 ** math.floor(math.log2(heads))
        slopes = [2 ** (-self.max_bias * (i + 1) / lower) for i in range(lower)]
        between = [2 ** (-self.max_bias * (i + 0.5) / lower) for i in range(heads - lower)]
        return [self.scale * slope for slope in slopes + between]

    def score_bias(
        self, ops: Ops, w: Scope, ctx: Context, *, heads: int
    ) -> Callable[[Ops, Tensor, Tensor, Tensor], Tensor]:
        slopes = self.slopes(heads)

        def bias(ops: Ops, head: Tensor, q_pos: Tensor, k_pos: Tensor) -> Tensor:
            ahead = ops.to_float(k_pos - q_pos)
            slope = ops.expand(ops.constant(slopes, Axis("heads", heads)), -1)
            return ops.minimum(ahead, ahead * -1.0) * slope

        return bias
