"""learned: a table of position vectors."""

from dataclasses import dataclass

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import Param, Position, Scope
from inferflow_core.checks import at_least
from inferflow_core.context import Context
from inferflow_core.errors import ShapeError
from inferflow_core.ops import Ops, Tensor


@dataclass(frozen=True, kw_only=True)
class Learned(Position):
    """A learned vector for each position, added to the tokens (Gehring et al. 2017)."""

    rows: int
    """Rows of the table, those before the offset included."""
    offset: int = 0
    """Row of position 0."""

    def __post_init__(self) -> None:
        at_least(1, self, "rows")
        at_least(0, self, "offset")
        if self.offset >= self.rows:
            raise ValueError(f"offset {self.offset} leaves no position of {self.rows} rows")

    def reach(self) -> int:
        return self.rows - self.offset

    def params(self, dims: Dims) -> dict[str, Param]:
        return {"weight": Param(Axis("positions", self.rows), dims.hidden)}

    def embed(self, ops: Ops, w: Scope, ctx: Context) -> Tensor:
        if ctx.dims.context > self.reach():
            raise ShapeError(
                f"the table of positions has {self.rows} rows, enough for {self.reach()} tokens, "
                f"and the context is {ctx.dims.context}",
                hint=f"run.context={self.reach()} is the longest",
            )
        rows = ctx.positions
        if self.offset:
            rows = ops.to_int(ops.to_float(rows) + float(self.offset))
        return ops.rows(w.weight, rows)
