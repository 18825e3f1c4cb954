"""moe: a mixture of experts."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import FFN, Block, Param, Router, Scope, all_params
from inferflow_core.checks import at_least
from inferflow_core.context import Context
from inferflow_core.errors import ShapeError
from inferflow_core.ops import Ops, Tensor


@dataclass(frozen=True, kw_only=True)
class MoE(FFN):
    """The weighted sum of the experts that a router chooses (Shazeer et al. 2017), and of shared
    ones that always run (Dai et al. 2024).

    Any ffn is an expert: its weights are stacked [experts, …], and its linear maps are routed.
    """

    experts: int
    """How many there are."""
    router: Router
    """Chooses and weighs them."""
    expert: FFN
    """One of them."""
    shared: FFN | None = None
    """Always on, added to the sum."""
    shared_gate: bool = False
    """Multiplies the shared one by sigmoid(gate(x))."""

    def __post_init__(self) -> None:
        at_least(1, self, "experts")
        if self.shared_gate and self.shared is None:
            raise ValueError("shared_gate is about the shared expert, and there is none")

    def _experts(self) -> Axis:
        return Axis("experts", self.experts)

    def params(self, dims: Dims) -> dict[str, Param]:
        params = {
            f"experts.{path}": Param(self._experts(), *param.axes)
            for path, param in all_params(self.expert, dims).items()
        }
        if self.shared_gate:
            params["shared_gate.weight"] = Param(Axis("gate", 1), dims.hidden)
        return params

    def children(self, dims: Dims) -> dict[str, tuple[Block, Dims]]:
        children: dict[str, tuple[Block, Dims]] = {
            "router": (self.router, replace(dims, experts=self._experts()))
        }
        return children if self.shared is None else children | {"shared": (self.shared, dims)}

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        index, weight = self.router(ops, w.router, x, ctx)
        stacked = [w.experts.get(path) for path in all_params(self.expert, ctx.dims)]
        routed = self.expert(RoutedOps(ops, index, stacked), w.experts, x, ctx)
        y = ops.combine(routed, weight)
        if self.shared is None:
            return y
        shared = self.shared(ops, w.shared, x, ctx)
        if self.shared_gate:
            shared = shared * ops.sigmoid(ops.linear(x, w.shared_gate.weight))
        return y + shared


class RoutedOps(Ops):
    """Ops for which a linear map is that of each token's own experts: [t, k, …] from then on."""

    def __init__(self, ops: Ops, index: Tensor, stacked: Sequence[Any]) -> None:
        self._ops = ops
        self._index = index
        self._stacked = stacked

    def apply(self, op: str, inputs: Sequence[Any], attrs: dict[str, Any]) -> Any:
        if op == "linear":
            x, weight, bias = inputs
            return self._ops.expert_linear(x, weight, self._index, bias)
        if any(item is param for item in inputs for param in self._stacked):
            raise ShapeError(f"an expert uses its weights by `linear` alone; this one by {op!r}")
        return self._ops.apply(op, inputs, attrs)

    def scope(self, path: str) -> AbstractContextManager[None]:
        return self._ops.scope(path)
