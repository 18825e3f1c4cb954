"""top_k: the router that takes the k best experts."""

from dataclasses import dataclass
from typing import Any, Literal

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import Param, Router, Scope
from inferflow_core.checks import at_least
from inferflow_core.context import Context
from inferflow_core.errors import ShapeError
from inferflow_core.ops import Ops, Tensor, linear

TINY = 1e-20
"""Least sum of weights that is divided by."""


@dataclass(frozen=True, kw_only=True)
class TopK(Router):
    """The k experts of the best scores (Shazeer et al. 2017), maybe only those of the best groups
    (DeepSeek-AI 2024)."""

    k: int
    """Experts for each token."""
    score: Literal["softmax", "sigmoid", "softmax_selected"] = "softmax"
    """Softmax over all experts; sigmoid of each; or softmax over the chosen ones."""
    renormalize: bool = False
    """Whether the weights of the chosen sum to 1."""
    scale: float = 1.0
    """Multiplies the weights."""
    bias: bool = False
    """Bias of the router's logits."""
    correction: bool = False
    """A learned number added for the choice, not for the weight (Wang et al. 2024)."""
    groups: int = 1
    """Groups of experts, equal and consecutive."""
    top_groups: int = 1
    """Groups that may be chosen from."""
    group_score: Literal["max", "top2"] = "max"
    """A group's score: its best expert's, or the sum of its best two."""

    def __post_init__(self) -> None:
        at_least(1, self, "k", "groups", "top_groups")
        if self.top_groups > self.groups:
            raise ValueError(f"top_groups is {self.top_groups}; there are {self.groups} groups")

    def params(self, dims: Dims) -> dict[str, Param]:
        if dims.experts is None:
            raise ShapeError("a router stands in a block of experts")
        self._check(dims.experts.length)
        each = Param(dims.experts)
        params = {"weight": Param(dims.experts, dims.hidden)}
        return params | {name: each for name in ("bias", "correction") if getattr(self, name)}

    def _check(self, experts: int) -> None:
        size, rest = divmod(experts, self.groups)
        if rest:
            raise ShapeError(f"{experts} experts cannot be {self.groups} equal groups")
        if self.k > size * self.top_groups:
            of = "" if self.top_groups == self.groups else f" of {self.top_groups} groups"
            raise ShapeError(f"k is {self.k}; a token can choose from {size * self.top_groups}{of}")
        if self.group_score == "top2" and size < 2 and self.top_groups < self.groups:
            raise ShapeError("group_score top2 needs two experts in a group; these have one")

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> tuple[Tensor, Tensor]:
        logits = linear(ops, w, x)
        if self.score == "softmax_selected":
            scores = logits
        else:
            scores = ops.softmax(logits) if self.score == "softmax" else ops.sigmoid(logits)
        wish = scores + ops.value(w.correction) if self.correction else scores
        index = self._best(ops, wish)
        weight = ops.gather(scores, index)
        if self.score == "softmax_selected":
            weight = ops.softmax(weight)
        if self.renormalize:
            total = ops.sum(weight)  # sigmoids may all be zero
            weight = ops.div(weight, ops.maximum(total, TINY) if self.score == "sigmoid" else total)
        return index, weight if self.scale == 1.0 else weight * self.scale

    def _best(self, ops: Ops, wish: Tensor) -> Tensor:
        """int [T, k], the best first."""
        if self.groups == 1 or self.top_groups == self.groups:
            return ops.top_k(wish, self.k)[1]
        members = self._members(ops, wish)
        return ops.gather(members, ops.top_k(ops.gather(wish, members), self.k)[1])

    def _members(self, ops: Ops, wish: Any) -> Tensor:
        """int [T, top_groups * size], the experts of the best groups."""
        size: int = wish.shape[-1] // self.groups
        each = ops.split_axis(wish, Axis("groups", self.groups), Axis("members", size))
        best = ops.max(each) if self.group_score == "max" else ops.sum(ops.top_k(each, 2)[0])
        chosen = ops.top_k(ops.merge_axes(best), self.top_groups)[1]
        first = ops.expand(ops.to_float(chosen) * float(size), -1)
        members = first + ops.constant([float(i) for i in range(size)], Axis("members", size))
        return ops.to_int(ops.merge_axes(members))
