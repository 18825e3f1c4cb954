"""Arithmetic of two tensors, which may be stretched to each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import prod

from inferflow_backends.cpu.kernels import elementwise as kernels
from inferflow_backends.cpu.lower import Lowering
from inferflow_core.graph import Node, Value


def arithmetic(low: Lowering, node: Node) -> bool:
    (x, y), out = node.inputs, node.outputs[0]
    size = low.size_word(out)
    if not (isinstance(x, Value) and isinstance(y, Value)) or size is None:
        return False
    if {x.dtype, y.dtype} != {"float"} or not isinstance(out.axes[0].size, str):
        return False
    counts, steps = stretched(out, (x, y))
    if len(counts) > 3:
        return False
    a, b, c = low.input(x), low.input(y), low.output(out)
    code = kernels.CODES[node.op]
    if len(counts) == 1:
        split = (size[0], size[1] // 32, 32) if size[1] % 32 == 0 else None
        words = [*size, code, a, *steps[0], b, *steps[1], c]
        low.row(kernels.op_flat, words, [a, b], [c], split=split)
        return True
    if len(counts) == 2:
        counts.insert(1, 1)
        for step in steps:
            step.insert(1, 0)
    words = [size[0], *counts, code, a, *steps[0], b, *steps[1]]
    low.row(kernels.op_stretched, [*words, c], [a, b], [c])
    return True


def stretched(out: Value, operands: Sequence[Value]) -> tuple[list[int], list[list[int]]]:
    """The axes of `out` with those merged along which each operand goes on, or stays, alike: how
    many numbers each has (the first: for each unit of the run-time size), and each operand's step
    along each, 0 where it stays."""

    def goes_on(place: int) -> tuple[bool, ...]:
        """Along the axis so many places from the end."""
        return tuple(
            place <= len(x.axes) and x.axes[-place].size == out.axes[-place].size for x in operands
        )

    places = [p for p in range(len(out.axes), 0, -1) if out.axes[-p].size != 1]
    merged = [(alike, list(group)) for alike, group in groupby(places, goes_on)]
    sizes = [[out.axes[-p].size for p in group] for _, group in merged]
    counts = [prod(size for size in group if isinstance(size, int)) for group in sizes]
    steps: list[list[int]] = []
    for number in range(len(operands)):
        own, step = list[int](), 1
        for (alike, _), count in zip(reversed(merged), reversed(counts), strict=True):
            own.insert(0, step if alike[number] else 0)
            step *= count if alike[number] else 1
        steps.append(own)
    return counts, steps


add = sub = mul = div = maximum = minimum = arithmetic
