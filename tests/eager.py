"""Runs a block eagerly on numbers of a test's own, whatever it needs around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from inferflow_backends.numpy.eager import EagerOps

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import Block, Model, Param, Scope, all_aliases, all_params, all_states
from inferflow_core.context import Context

PAGE = 16


def dims_of(hidden: int, *, vocab: int = 40, context: int = 128, **more: Any) -> Dims:
    """`heads` and `experts` may be numbers."""
    axes = {k: Axis(k, v) if isinstance(v, int) and v is not True else v for k, v in more.items()}
    return Dims(Axis("hidden", hidden), Axis("vocab", vocab), context, **axes)


def numbers(params: Mapping[str, Param], seed: int = 0) -> dict[str, Any]:
    """Random float32 weights: matrices of unit gain, vectors about one."""
    rng = np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for path, param in params.items():
        drawn = rng.standard_normal(param.shape)
        scaled = 1 + drawn / 4 if drawn.ndim == 1 else drawn * param.shape[-1] ** -0.5
        found[path] = scaled.astype(np.float32)
    return found


def weights_of(block: Block, dims: Dims, seed: int = 0) -> dict[str, Any]:
    return numbers(all_params(block, dims), seed)


def vectors(*shape: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@dataclass
class Bench:
    """A block with its weights, and caches that are empty at first."""

    block: Block
    dims: Dims
    weights: dict[str, Any] | None = None
    """Random where they are not given."""
    token_table: Any = None
    position: tuple[Block, Scope] | None = None
    handles: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        if self.weights is None:
            self.weights = weights_of(self.block, self.dims)
        self.handles = dict(self.weights)
        for path, target in all_aliases(self.block, self.dims).items():
            self.handles[path] = self.handles[target]
        for path, state in all_states(self.block, self.dims).items():
            shape = (64, PAGE, *(axis.length for axis in state.axes))
            self.handles[path] = np.zeros(shape, np.float32)

    def context(
        self,
        lengths: Sequence[int],
        *,
        ids: Any = None,
        types: Any = None,
        source: Sequence[int] | None = None,
    ) -> Context:
        """Whole sequences of these lengths, beside the rows of an encoder's."""
        source = source or [0] * len(lengths)
        columns: dict[str, Any] = {
            "ids": range(sum(lengths)) if ids is None else ids,
            "positions": [p for n in lengths for p in range(n)],
            "seq_of": np.repeat(np.arange(len(lengths)), lengths),
            "offsets": np.concatenate([[0], np.cumsum(lengths)]),
            "lengths": lengths,
            "block_tables": tables(lengths),
            "out_rows": np.arange(sum(lengths)),
            "token_types": np.zeros(sum(lengths)) if types is None else types,
            "source_lengths": source,
            "source_tables": tables(source),
        }
        arrays: dict[str, Any] = {key: np.asarray(v, np.int32) for key, v in columns.items()}
        shared: Any = self.position
        return Context(dims=self.dims, token_table=self.token_table, position=shared, **arrays)

    def run(
        self,
        x: Any,
        *,
        lengths: Sequence[int] | None = None,
        call: Callable[..., Any] | None = None,
        **columns: Any,
    ) -> Any:
        """The result of the block, or of another method of it, for x [tokens, …]."""
        ctx = self.context(lengths or [len(x)], **columns)
        return (call or self.block)(EagerOps(), Scope(self.handles), x, ctx)

    def entry(self, name: str, ids: Any, *, lengths: Sequence[int], **columns: Any) -> Any:
        """The outputs of an entry of a model."""
        assert isinstance(self.block, Model)
        ctx = self.context(lengths, ids=ids, **columns)
        return self.block.entries()[name](EagerOps(), Scope(self.handles), ctx)


def tables(lengths: Sequence[int]) -> list[list[int]]:
    """Pages of each sequence, from 1 on."""
    counts = [-(-n // PAGE) for n in lengths]
    width = max(*counts, 1)
    ends = np.cumsum(counts)
    return [
        [*range(end - n + 1, end + 1), *([0] * (width - n))]
        for end, n in zip(ends, counts, strict=True)
    ]


def close(found: Any, expected: Any, tolerance: float = 1e-5) -> None:
    """Every number to the tolerance, in units of the largest one expected."""
    expected = np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    worst = np.abs(found - expected).max()
    assert worst <= tolerance * max(np.abs(expected).max(), 1e-9), worst


def renamed(weights: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Weights by the names of another implementation: `names` has theirs for our paths, without
    what follows the last dot."""
    found: dict[str, Any] = {}
    for path, array in weights.items():
        place, _, kind = path.rpartition(".")
        found[f"{names[place]}.{kind}"] = array
    return found
