"""mlm_head: hidden states to logits of masked tokens."""

from dataclasses import dataclass

from inferflow_core.axes import Dims
from inferflow_core.block import Act, Head, Norm, Param, Scope, linear_params
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor, linear


@dataclass(frozen=True, kw_only=True)
class MLMHead(Head):
    """norm(act(dense(x))) @ weight.T + bias (Devlin et al. 2019)."""

    act: Act
    """After the dense."""
    norm: Norm
    """After the activation."""
    dense_bias: bool = True
    """Whether the dense has a bias."""
    tied: bool = True
    """The output's weight is the token table."""
    bias: bool = True
    """Whether the output has a bias."""
    optional: bool = False
    """Dropped where the checkpoint has none of its tensors."""

    def is_tied(self) -> bool:
        return self.tied

    def droppable(self) -> bool:
        return self.optional

    def params(self, dims: Dims) -> dict[str, Param]:
        params = linear_params("dense", dims.hidden, dims.hidden, bias=self.dense_bias)
        if not self.tied:
            params["weight"] = Param(dims.vocab, dims.hidden)
        return params | ({"bias": Param(dims.vocab)} if self.bias else {})

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        """x [rows, hidden] -> [rows, vocab]."""
        y = self.norm(ops, w.norm, ops.activation(linear(ops, w.dense, x), self.act), ctx)
        return ops.linear(y, ctx.token_table if self.tied else w.weight, w.get("bias"))
