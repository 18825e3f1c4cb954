"""rope: rotary position embedding, with every published way to stretch its context."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from inferflow_core.block import Position, Scope
from inferflow_core.checks import above_zero, at_least
from inferflow_core.context import Context
from inferflow_core.errors import ShapeError, nearest
from inferflow_core.ops import Ops, Tensor
from inferflow_core.table import Table


@dataclass(frozen=True, kw_only=True)
class Rope(Position):
    """Rotary position embedding (Su et al. 2021).

    `scaling` is the checkpoint's own table (`rope_scaling`). Frequencies depend on the declared
    context, never on a sequence's current length: a cached key is never rotated again.
    """

    theta: float = 10000.0
    """Base of the frequencies."""
    fraction: float = 1.0
    """Share of a head that is rotated, its first part."""
    dims: int | None = None
    """Rotated dimensions of a head, instead of `fraction`."""
    interleaved: bool = False
    """Pairs (0, 1), (2, 3), … instead of halves (0, d/2), …"""
    scaling: Table | None = None
    """The checkpoint's table: linear, dynamic, llama3, yarn or longrope."""
    context: int | None = None
    """Length the model was trained for; dynamic, yarn and longrope need it."""
    original_context: int | None = None
    """Length before it was extended, where the table does not say it."""

    def __post_init__(self) -> None:
        above_zero(self, "theta", "fraction")
        at_least(1, self, "dims", "context", "original_context")
        if self.fraction > 1:
            raise ValueError(f"fraction is {self.fraction}; it is a share of a head, 1 at most")

    def rotate(self, ops: Ops, w: Scope, x: Tensor, ctx: Context, *, width: int) -> Tensor:
        count = self.dims if self.dims is not None else int(width * self.fraction)
        if count % 2 or not 0 < count <= width:
            raise ShapeError(
                f"rope would rotate {count} dimensions of a head of {width}; it rotates pairs, an "
                "even number of dimensions"
            )
        frequencies, scale = self.frequencies(count, ctx.dims.context)
        return ops.rope(x, ctx.positions, frequencies, interleaved=self.interleaved, scale=scale)

    def score_factor(self) -> float:
        """YaRN's `mscale_all_dim`, squared: q and k carry it once each (DeepSeek-AI 2024)."""
        scaling = self.scaling or {}
        weight = scaling.get("mscale_all_dim")
        if not weight or kind_of(scaling) != "yarn":
            return 1.0
        return mscale(self.factor(scaling), weight) ** 2

    def frequencies(self, count: int, run_context: int) -> tuple[tuple[float, ...], float]:
        """Radians a position of each of `count / 2` pairs, and the factor of cosine and sine."""
        scaling = self.scaling or {}
        kind = kind_of(scaling)
        method = SCALINGS.get(kind)
        if method is None:
            raise ShapeError(
                f"rope.scaling has rope_type {kind!r}.{nearest(kind, SCALINGS)} "
                f"(allowed: {', '.join(SCALINGS)})"
            )
        return method(self, scaling, count, run_context)

    def plain(self, count: int, theta: float | None = None) -> list[float]:
        base = self.theta if theta is None else theta
        return [base ** (-2 * i / count) for i in range(count // 2)]

    def trained(self, scaling: Mapping[str, Any]) -> float:
        """The context before extension."""
        key = "original_max_position_embeddings"
        known = self.original_context or self.context
        return known if known and scaling.get(key) is None else number(scaling, key)

    def factor(self, scaling: Mapping[str, Any]) -> float:
        """How much longer the context is than it was."""
        if scaling.get("factor") is not None:
            return number(scaling, "factor")
        trained = self.trained(scaling)
        return (self.context or trained) / trained


def kind_of(scaling: Mapping[str, Any]) -> str:
    return str(scaling.get("rope_type") or scaling.get("type") or "default")


def number(scaling: Mapping[str, Any], key: str) -> float:
    """A number of the table, above 0. Raises ShapeError."""
    value = scaling.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        kind = kind_of(scaling)
        wrong = f"lacks the key {key!r}" if value is None else f"has {key} = {value!r}"
        raise ShapeError(f"rope.scaling of type {kind!r} {wrong}; it must be a number above 0")
    return value


Frequencies = tuple[tuple[float, ...], float]
Scaling = Callable[[Rope, Mapping[str, Any], int, int], Frequencies]


def default(rope: Rope, scaling: Mapping[str, Any], count: int, run_context: int) -> Frequencies:
    return tuple(rope.plain(count)), 1.0


def linear(rope: Rope, scaling: Mapping[str, Any], count: int, run_context: int) -> Frequencies:
    """Position interpolation (Chen et al. 2023)."""
    factor = number(scaling, "factor")
    return tuple(f / factor for f in rope.plain(count)), 1.0


def dynamic(rope: Rope, scaling: Mapping[str, Any], count: int, run_context: int) -> Frequencies:
    """NTK-aware base change, for the declared context where it is beyond the trained one."""
    factor, trained = number(scaling, "factor"), rope.context or rope.trained(scaling)
    if count == 2:
        raise ShapeError("rope.scaling of type 'dynamic' needs two pairs of dimensions, not one")
    stretch = factor * max(run_context, trained) / trained - (factor - 1)
    return tuple(rope.plain(count, rope.theta * stretch ** (count / (count - 2)))), 1.0


def llama3(rope: Rope, scaling: Mapping[str, Any], count: int, run_context: int) -> Frequencies:
    """Llama 3.1's: long waves are interpolated, short ones kept, those between blended."""
    factor, trained = number(scaling, "factor"), rope.trained(scaling)
    low, high = number(scaling, "low_freq_factor"), number(scaling, "high_freq_factor")
    if low >= high:
        raise ShapeError(
            f"rope.scaling: low_freq_factor {low} is not below high_freq_factor {high}"
        )

    def stretch(f: float) -> float:
        turns = trained * f / (2 * math.pi)
        kept = min(max((turns - low) / (high - low), 0.0), 1.0)
        return (1 - kept) * f / factor + kept * f

    return tuple(stretch(f) for f in rope.plain(count)), 1.0


def yarn(rope: Rope, scaling: Mapping[str, Any], count: int, run_context: int) -> Frequencies:
    """YaRN (Peng et al. 2023), with DeepSeek's `mscale` and `mscale_all_dim`."""
    trained = rope.trained(scaling)
    factor = rope.factor(scaling)

    def channel(turns: float) -> float:
        return count * math.log(trained / (turns * 2 * math.pi)) / (2 * math.log(rope.theta))

    low, high = channel(scaling.get("beta_fast") or 32), channel(scaling.get("beta_slow") or 1)
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, count - 1)
    span = (high - low) or 0.001
    ramp = [min(max((i - low) / span, 0.0), 1.0) for i in range(count // 2)]
    mixed = (f / factor * r + f * (1 - r) for f, r in zip(rope.plain(count), ramp, strict=True))
    return tuple(mixed), _yarn_scale(scaling, factor)


def mscale(factor: float, weight: float) -> float:
    """How much sharper attention is made for a context `factor` times as long."""
    return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0


def _yarn_scale(scaling: Mapping[str, Any], factor: float) -> float:
    if scaling.get("attention_factor") is not None:
        return float(scaling["attention_factor"])
    if scaling.get("mscale") and scaling.get("mscale_all_dim"):
        return mscale(factor, scaling["mscale"]) / mscale(factor, scaling["mscale_all_dim"])
    return mscale(factor, 1.0)


def longrope(rope: Rope, scaling: Mapping[str, Any], count: int, run_context: int) -> Frequencies:
    """LongRoPE (Ding et al. 2024): a factor a pair, `long` if the declared context needs it."""
    trained, plain = rope.trained(scaling), rope.plain(count)
    name = "long_factor" if run_context > trained else "short_factor"
    factors = scaling.get(name) or ()
    if len(factors) != len(plain):
        raise ShapeError(
            f"rope.scaling: {name} has {len(factors)} numbers; {len(plain)} pairs are rotated"
        )
    factor, scale = rope.factor(scaling), scaling.get("attention_factor")
    if scale is None:
        scale = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(trained))
    return tuple(f / e for f, e in zip(plain, factors, strict=True)), float(scale)


SCALINGS: Mapping[str, Scaling] = {
    "default": default,
    "linear": linear,
    "dynamic": dynamic,
    "llama3": llama3,
    "yarn": yarn,
    "longrope": longrope,
}
