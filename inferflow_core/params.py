"""What a block declares: params, states and activations, and the handles by which it reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from inferflow_core.axes import Axes, Axis

Act = Annotated[str, "act"]
"""An activation: one of `ACTIVATIONS`; specs may use any of the accepted spellings."""

ACTIVATIONS: Mapping[str, str] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "relu2": "relu2",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
}
"""Accepted spelling -> activation."""


class Param:
    """A declared weight: its axes, outermost first. Linear weights are [out, in]."""

    def __init__(self, *axes: Axis) -> None:
        self.axes: Axes = axes

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(axis.length for axis in self.axes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Param) and self.axes == other.axes

    def __hash__(self) -> int:
        return hash(self.axes)

    def __repr__(self) -> str:
        return f"Param{self.shape}"


@dataclass(frozen=True)
class TokenState:
    """A cache with a row a token, in pages. `window`: only the last so many rows are read."""

    axes: Axes
    window: int | None = None
    share_with: str | None = None
    rewindable: ClassVar[bool] = True


@dataclass(frozen=True)
class SourceState:
    """A cache with a row an encoder token, in pages of their own, written once by `encode`."""

    axes: Axes
    rewindable: ClassVar[bool] = True


@dataclass(frozen=True)
class SlotState:
    """A cache of fixed size a sequence. It cannot be rewound."""

    axes: Axes
    rewindable: ClassVar[bool] = False


State = TokenState | SourceState | SlotState


def linear_params(name: str, out: Axis, inner: Axis, *, bias: bool) -> dict[str, Param]:
    """The params of a linear map `inner -> out`: `name.weight` [out, in] and maybe `name.bias`."""
    params = {f"{name}.weight": Param(out, inner)}
    return params | {f"{name}.bias": Param(out)} if bias else params


class Scope:
    """The handles of a block's params and states, by path: `w.q.weight`, `w.layers[3]`."""

    def __init__(self, handles: Mapping[str, Any], path: str = "") -> None:
        self._handles = handles
        self.path = path

    def _join(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def get(self, name: str) -> Any | None:
        """The handle `name`, or None where it is not declared (an optional bias)."""
        return self._handles.get(self._join(name))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        path = self._join(name)
        return self._handles[path] if path in self._handles else Scope(self._handles, path)

    def __getitem__(self, index: int | str) -> Scope:
        return Scope(self._handles, self._join(str(index)))
