"""Debug mode: the tape node by node, each beside its numpy reference on the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferflow_backends.cpu.lower import Lowering
from inferflow_core.errors import EngineError
from inferflow_core.graph import Node, ParamRef, StateRef

Array = npt.NDArray[Any]

TOLERANCE, OF_PRODUCTS = 0.01, 0.1
"""Root of the mean square of the error, for the same of what numpy has: that of sums in
another order; of a product of weights, and of a cache, that of 8 bits where one is very large."""


@dataclass(frozen=True)
class Span:
    """A node with the rows of a tape that are its own."""

    node: Node
    segment: int
    start: int
    count: int


def span_of(low: Lowering, node: Node, before: tuple[int, int]) -> Span:
    """The span of a node that was lowered just now, from `Lowering.place` before that."""
    segments, rows = low.place()
    start = before[1] if segments == before[0] else 0
    return Span(node, segments - 1, start, rows - start)


class Checker:
    """Runs a step's spans and raises EngineError at the first node that differs.

    `run(span)` runs its rows; `operand(item)` is an operand as an array of numpy's layout, of a
    state a copy; `reference(node, inputs)` is what numpy makes.
    """

    def __init__(
        self,
        run: Callable[[Span], None],
        operand: Callable[[Any], Array | None],
        reference: Callable[[Node, Sequence[Any]], tuple[Array, ...]],
    ) -> None:
        self._run, self._operand, self._reference = run, operand, reference

    def step(self, spans: Sequence[Span]) -> None:
        for place, span in enumerate(spans):
            node = span.node
            inputs: list[Any] = [self._operand(item) for item in node.inputs]
            states = [i for i, item in enumerate(node.inputs) if isinstance(item, StateRef)]
            before = [inputs[i].copy() for i in states]
            results = self._reference(node, inputs)
            self._run(span)
            pairs: list[tuple[str, Array, Array]] = [
                (str(value), expected, self._operand(value))  # pyright: ignore[reportAssignmentType]
                for value, expected in zip(node.outputs, results, strict=False)
            ]
            for i, old in zip(states, before, strict=True):
                changed = inputs[i] != old
                if changed.any():
                    now = self._operand(node.inputs[i])
                    assert now is not None
                    pairs.append((str(node.inputs[i]), inputs[i][changed], now[changed]))
            most = OF_PRODUCTS if "linear" in node.op or states else TOLERANCE
            for name, expected, found in pairs:
                problem = difference(expected, found, most)
                if problem:
                    raise EngineError(_message(node, place, len(spans), name, problem))


def difference(expected: Array, found: Array, most: float) -> str:
    """In words how much two arrays differ; empty where the error is at most `most`."""
    expected, found = np.broadcast_arrays(expected, found)
    if expected.dtype.kind != "f":
        wrong = expected != found
        return f"{wrong.sum()} of {wrong.size} numbers are others" if wrong.any() else ""
    same = (expected == found) | (np.isnan(expected) & np.isnan(found))
    a, b = np.where(same, 0, expected).astype(np.float64), np.where(same, 0, found)
    if not np.isfinite(b - a).all():
        return "it has other infinities or NaNs"
    error = np.sqrt(np.mean((b - a) ** 2)) if a.size else 0.0
    size = np.sqrt(np.mean(np.where(np.isfinite(expected), expected, 0).astype(np.float64) ** 2))
    if error <= most * size:
        return ""
    at = np.unravel_index(np.abs(b - a).argmax(), a.shape)
    where = ", ".join(map(str, at))
    share = f"{error / size:.1%}" if size else f"{error:.3g}"
    text = f"the error is {share} (rms; {most:.0%} may be)"
    return f"{text}, at [{where}] {b[at]:.6g} for {a[at]:.6g}"


def _message(node: Node, place: int, count: int, name: str, problem: str) -> str:
    params = [item.path for item in node.inputs if isinstance(item, ParamRef)]
    of = f" with {', '.join(params)}" if params else ""
    return (
        f"op {place + 1} of {count} is the first whose kernel differs from numpy: {node.op} of "
        f"{node.path or 'the model'}{of}; {name}: {problem}"
    )
