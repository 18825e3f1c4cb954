"""Named axes: every param and every traced value says what its dimensions mean."""

from __future__ import annotations

from dataclasses import dataclass

Size = int | str
"""A number, or the name of a run-time size: T tokens, S sequences, R output rows, C context."""


@dataclass(frozen=True)
class Axis:
    """One dimension. A flattened axis keeps its factors, outermost first (heads x head_dim)."""

    name: str
    size: Size
    factors: tuple[Axis, ...] = ()

    @classmethod
    def flat(cls, *factors: Axis) -> Axis:
        """One axis of several: sizes multiply."""
        size = 1
        for factor in factors:
            size *= factor.length
        return cls("*".join(factor.name for factor in factors), size, factors)

    @property
    def length(self) -> int:
        """The size, where it is a number."""
        if isinstance(self.size, str):
            raise TypeError(f"axis {self.name} has the run-time size {self.size}")
        return self.size


Axes = tuple[Axis, ...]

TOKENS = Axis("tokens", "T")
SEQUENCES = Axis("sequences", "S")
OUT_ROWS = Axis("out_rows", "R")
CONTEXT = Axis("context", "C")
ONE = Axis("one", 1)


def show(axes: Axes) -> str:
    """`[T,64]`."""
    return f"[{','.join(str(axis.size) for axis in axes)}]"


@dataclass(frozen=True)
class Dims:
    """Sizes that a block is told by those above it."""

    hidden: Axis
    vocab: Axis
    context: int
    """Longest sequence that the run allows; RoPE scalings may depend on it."""
    own: Axes = ()
    """Axes in front of `hidden` along which a norm has weights of its own (each head)."""
    heads: Axis | None = None
    """Whose scores a position biases."""
    experts: Axis | None = None
    """What a router chooses from."""
    source: bool = False
    """Whether caches have a row for each of the encoder's tokens, instead of the decoder's."""
