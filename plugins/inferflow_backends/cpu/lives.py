"""How long the values of a step live."""

from __future__ import annotations

from collections import Counter

from inferflow_core.graph import Node, Value

VIEWS = ("split_axis", "merge_axes", "expand")
"""Ops whose result is their input, seen with other axes."""


def lives(nodes: list[Node], keep: list[int]) -> tuple[dict[int, list[int]], Counter[int]]:
    """Place of a node -> the values whose last reader it is, and how many readers each value has.
    A view is its origin; outputs (`keep`) are read in the end."""
    origin: dict[int, int] = {}
    last: dict[int, int] = {}
    uses: Counter[int] = Counter()
    for place, node in enumerate(nodes):
        view = node.op in VIEWS and isinstance(node.inputs[0], Value)
        if view and isinstance(node.inputs[0], Value):
            first = node.inputs[0].id
            origin[node.outputs[0].id] = origin.get(first, first)
        for item in (*node.inputs, *node.outputs):
            if isinstance(item, Value):
                last[origin.get(item.id, item.id)] = place
        if not view:
            uses.update(origin.get(i.id, i.id) for i in node.inputs if isinstance(i, Value))
    kept = [origin.get(i, i) for i in keep]
    uses.update(kept)
    deaths: dict[int, list[int]] = {}
    for owner, place in last.items():
        if owner not in kept:
            deaths.setdefault(place, []).append(owner)
    return deaths, uses
