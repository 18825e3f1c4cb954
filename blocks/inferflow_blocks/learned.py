"""learned: a table of position vectors."""

from dataclasses import dataclass

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import Param, Position, Scope
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor


@dataclass(frozen=True, kw_only=True)
class Learned(Position):
    """A learned vector for each position, added to the tokens (Gehring et al. 2017)."""

    rows: int
    """Rows of the table, those before the offset included."""
    offset: int = 0
    """Row of position 0."""

    def params(self, dims: Dims) -> dict[str, Param]:
        return {"weight": Param(Axis("positions", self.rows), dims.hidden)}

    def embed(self, ops: Ops, w: Scope, ctx: Context) -> Tensor:
        rows = ctx.positions
        if self.offset:
            rows = ops.to_int(ops.to_float(rows) + float(self.offset))
        return ops.rows(w.weight, rows)
