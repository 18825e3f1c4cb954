"""Composites: the ops that decompose into others (`decompositions.py`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferflow_core.ops import Tensor


class Composites(ABC):
    """A backend runs them by their decomposition, unless it has something better."""

    @abstractmethod
    def apply(self, op: str, inputs: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """One op: its tensor, or a tuple of tensors, or None for `append`."""

    def mean(self, x: Tensor) -> Tensor:
        return self.apply("mean", [x], {})

    def sigmoid(self, x: Tensor) -> Tensor:
        return self.apply("sigmoid", [x], {})

    def softmax(self, x: Tensor) -> Tensor:
        """Over the last axis."""
        return self.apply("softmax", [x], {})

    def activation(self, x: Tensor, act: str) -> Tensor:
        """One of `block.ACTIVATIONS`."""
        return self.apply("activation", [x], {"act": act})

    def glu(
        self,
        gate: Tensor,
        up: Tensor,
        act: str,
        *,
        limit: float | None = None,
        up_offset: float = 0.0,
    ) -> Tensor:
        """act(gate) * (up + up_offset); `limit` clamps gate above and up on both sides first."""
        return self.apply("glu", [gate, up], {"act": act, "limit": limit, "up_offset": up_offset})

    def softcap(self, x: Tensor, cap: float) -> Tensor:
        """cap * tanh(x / cap)."""
        return self.apply("softcap", [x], {"cap": cap})

    def clamp(self, x: Tensor, low: float, high: float) -> Tensor:
        return self.apply("clamp", [x], {"low": low, "high": high})

    def rms_norm(
        self, x: Tensor, weight: Any = None, *, eps: float = 1e-5, unit_offset: bool = False
    ) -> Tensor:
        """x / sqrt(mean(x^2) + eps), times weight, or with `unit_offset` times (1 + weight)."""
        return self.apply("rms_norm", [x, weight], {"eps": eps, "unit_offset": unit_offset})

    def layer_norm(
        self,
        x: Tensor,
        weight: Any = None,
        bias: Any = None,
        *,
        eps: float = 1e-5,
        unit_offset: bool = False,
    ) -> Tensor:
        """(x - mean) / sqrt(variance + eps), times weight or (1 + weight), plus bias."""
        return self.apply("layer_norm", [x, weight, bias], {"eps": eps, "unit_offset": unit_offset})

    def rope(
        self,
        x: Tensor,
        positions: Tensor,
        frequencies: Sequence[float],
        *,
        interleaved: bool = False,
        scale: float = 1.0,
    ) -> Tensor:
        """Rotates the first 2*len(frequencies) channels of x [T, heads, width] (Su et al. 2021).

        Pair i turns by position * frequencies[i]; cosine and sine are multiplied by `scale`.
        Pairs are (i, i + n) or, interleaved, (2i, 2i + 1).
        """
        attrs = {"frequencies": tuple(frequencies), "interleaved": interleaved, "scale": scale}
        return self.apply("rope", [x, positions], attrs)
