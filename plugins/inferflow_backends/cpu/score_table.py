"""Score rules as tables: what a head adds to the score of a key at a distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from inferflow_core.graph import Function, Value

Array = npt.NDArray[Any]
MARGIN = 16
"""Columns behind the last distance: a tile of keys is read whole."""


def by_distance(rule: Function) -> bool:
    """Whether a rule knows positions only by how far a key lies ahead of the query, so that a table
    has all of it: ALiBi, relative positions, and what third parties build in this way."""
    _, query, key = (argument.id for argument in rule.arguments)
    known = {argument.id for argument in rule.arguments}
    for node in rule.nodes:
        ids = [item.id for item in node.inputs if isinstance(item, Value)]
        if not known.issuperset(ids):
            return False
        if {query, key}.intersection(ids) and not (node.op == "sub" and set(ids) == {query, key}):
            return False
        known |= {value.id for value in node.outputs}
    return not {query, key}.intersection(value.id for value in rule.results)


def table_shape(heads: int, context: int, *, causal: bool) -> tuple[int, int]:
    """[heads][distances from 1 - context on]: up to 0, or to context - 1, and MARGIN."""
    return heads, (context if causal else 2 * context - 1) + MARGIN


def score_table(run: Callable[..., Array], heads: int, context: int, *, causal: bool) -> Array:
    """float32 of `table_shape`, of a rule that can be run on arrays. Column context - 1 is the
    distance 0."""
    _, columns = table_shape(heads, context, causal=causal)
    head = np.arange(heads, dtype=np.int32)[:, None]
    query = np.full((1, 1), context - 1, np.int32)
    scores = run(head, query, np.arange(columns, dtype=np.int32)[None])
    return np.broadcast_to(np.asarray(scores, np.float32), (heads, columns))


def rule_key(rule: Function, heads: int, *, causal: bool) -> tuple[Any, ...]:
    """Equal for rules with equal tables: layers that have the same rule share one."""
    names = {argument.id: place for place, argument in enumerate(rule.arguments)}
    steps: list[Any] = []
    for node in rule.nodes:
        inputs = tuple(
            names[item.id] if isinstance(item, Value) else str(item) for item in node.inputs
        )
        names |= {value.id: len(names) + n for n, value in enumerate(node.outputs)}
        steps.append((node.op, inputs, tuple(sorted(node.attrs.items()))))
    return heads, causal, names[rule.results[0].id], tuple(steps)
