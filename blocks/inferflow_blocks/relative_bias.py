"""relative_bias: a learned score for each bucket of distances."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from inferflow_core.axes import ONE, Axis, Dims
from inferflow_core.block import Param, Position, Scope
from inferflow_core.checks import at_least
from inferflow_core.context import Context
from inferflow_core.errors import ShapeError
from inferflow_core.ops import Ops, Tensor


@dataclass(frozen=True, kw_only=True)
class RelativeBias(Position):
    """A score for each head and bucket of relative positions (Raffel et al. 2020).

    Near distances have buckets of their own, farther ones share them in logarithmic steps. The
    table is [heads, buckets].
    """

    buckets: int
    """Columns of the table."""
    max_distance: int
    """From this distance on all share one bucket."""
    bidirectional: bool = False
    """Half of the buckets for each side; else keys behind the query have bucket 0."""

    def __post_init__(self) -> None:
        at_least(4 if self.bidirectional else 2, self, "buckets")
        if self.max_distance <= self._exact:
            raise ValueError(
                f"max_distance is {self.max_distance}; it must be above {self._exact}, below which "
                "distances have buckets of their own"
            )

    @property
    def _side(self) -> int:
        """Buckets of one side."""
        return self.buckets // 2 if self.bidirectional else self.buckets

    @property
    def _exact(self) -> int:
        """Distances from 0 on that have buckets of their own."""
        return self._side // 2

    def params(self, dims: Dims) -> dict[str, Param]:
        if dims.heads is None:
            raise ShapeError("a relative bias belongs to a mixer that has heads")
        return {"weight": Param(dims.heads, Axis("buckets", self.buckets))}

    def bucket(self, distance: int) -> int:
        """Bucket of a distance of one side, 0 and up."""
        count, exact = self._side, self._exact
        if distance < exact:
            return distance
        share = math.log(distance / exact) / math.log(self.max_distance / exact)
        return min(exact + int(share * (count - exact) + 1e-6), count - 1)

    def score_bias(
        self, ops: Ops, w: Scope, ctx: Context, *, heads: int
    ) -> Callable[[Ops, Tensor, Tensor, Tensor], Tensor]:
        table = [float(self.bucket(d)) for d in range(self.max_distance + 1)]
        side = float(self._side)

        def bias(ops: Ops, head: Tensor, q_pos: Tensor, k_pos: Tensor) -> Tensor:
            ahead = ops.to_float(k_pos - q_pos)
            apart = ops.maximum(ahead, ahead * -1.0) if self.bidirectional else ahead * -1.0
            distance = ops.to_int(ops.clamp(apart, 0.0, float(self.max_distance)))
            buckets = ops.constant(table, ONE, Axis("distances", len(table)))
            bucket = ops.gather(buckets, distance)
            if self.bidirectional:
                bucket = bucket + ops.where(ops.less(0.0, ahead), side, 0.0)
            return ops.gather(ops.value(w.weight), ops.to_int(bucket))

        return bias
