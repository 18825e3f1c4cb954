"""mlp: the plain feed-forward network."""

from dataclasses import dataclass

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import FFN, Act, Param, Scope, linear_params
from inferflow_core.checks import above_zero, at_least
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor, linear


@dataclass(frozen=True, kw_only=True)
class MLP(FFN):
    """down(act(up(x))) (Vaswani et al. 2017)."""

    hidden: int | None = None
    """Inner width; absent: ratio * the model's hidden."""
    ratio: float = 4.0
    """Used where `hidden` is absent."""
    act: Act
    """Between the two."""
    bias: bool = False
    """Biases of both."""

    def __post_init__(self) -> None:
        at_least(1, self, "hidden")
        above_zero(self, "ratio")

    def params(self, dims: Dims) -> dict[str, Param]:
        width = self.hidden if self.hidden is not None else int(self.ratio * dims.hidden.length)
        inner = Axis("ffn", width)
        return {
            **linear_params("up", inner, dims.hidden, bias=self.bias),
            **linear_params("down", dims.hidden, inner, bias=self.bias),
        }

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        return linear(ops, w.down, ops.activation(linear(ops, w.up, x), self.act))
