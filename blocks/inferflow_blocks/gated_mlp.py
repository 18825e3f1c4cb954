"""gated_mlp: the feed-forward network with a gate."""

from dataclasses import dataclass

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import FFN, Act, Param, Scope, linear_params
from inferflow_core.checks import above_zero, at_least
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor, linear


@dataclass(frozen=True, kw_only=True)
class GatedMLP(FFN):
    """down(act(gate(x)) * up(x)) (Shazeer 2020, "GLU variants improve transformer")."""

    hidden: int | None = None
    """Inner width; absent: ratio * the model's hidden."""
    ratio: float = 4.0
    """Used where `hidden` is absent."""
    act: Act
    """Activation of the gate."""
    bias: bool = False
    """Biases of all three."""
    limit: float | None = None
    """Clamps the gate from above, up on both sides."""
    up_offset: float = 0.0
    """Added to up before the product."""

    def __post_init__(self) -> None:
        at_least(1, self, "hidden")
        above_zero(self, "ratio", "limit")

    def params(self, dims: Dims) -> dict[str, Param]:
        width = self.hidden if self.hidden is not None else int(self.ratio * dims.hidden.length)
        inner = Axis("ffn", width)
        return {
            **linear_params("gate", inner, dims.hidden, bias=self.bias),
            **linear_params("up", inner, dims.hidden, bias=self.bias),
            **linear_params("down", dims.hidden, inner, bias=self.bias),
        }

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        gate, up = linear(ops, w.gate, x), linear(ops, w.up, x)
        product = ops.glu(gate, up, self.act, limit=self.limit, up_offset=self.up_offset)
        return linear(ops, w.down, product)
