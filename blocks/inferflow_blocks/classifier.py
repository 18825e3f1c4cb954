"""classifier: scores of classes."""

from dataclasses import dataclass

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import Act, Head, Param, Scope, linear_params
from inferflow_core.checks import at_least
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor, linear


@dataclass(frozen=True, kw_only=True)
class Classifier(Head):
    """A linear map to the classes, for each token or for another head's vector."""

    classes: int
    """Outputs."""
    source: str = "tokens"
    """`tokens`, for a result of each token, or the name of another head."""
    dense: bool = False
    """A map from hidden to hidden with a bias first."""
    act: Act = "gelu"
    """After the dense."""
    bias: bool = True
    """Of the output."""
    optional: bool = False
    """Dropped where the checkpoint has none of its tensors."""

    def __post_init__(self) -> None:
        at_least(1, self, "classes")

    def reads(self) -> str:
        return "rows" if self.source == "tokens" else self.source

    def droppable(self) -> bool:
        return self.optional

    def params(self, dims: Dims) -> dict[str, Param]:
        classes = Axis("classes", self.classes)
        params = {"weight": Param(classes, dims.hidden)}
        if self.bias:
            params["bias"] = Param(classes)
        if self.dense:
            params |= linear_params("dense", dims.hidden, dims.hidden, bias=True)
        return params

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        """x [rows, hidden] -> [rows, classes]."""
        if self.dense:
            x = ops.activation(linear(ops, w.dense, x), self.act)
        return linear(ops, w, x)
