"""How long the values of a step live."""

from __future__ import annotations

from inferflow_core.graph import Node, Value

VIEWS = ("split_axis", "merge_axes", "expand")
"""Ops whose result is their input, seen with other axes."""


def lives(nodes: list[Node], keep: list[int]) -> dict[int, list[int]]:
    """Place of a node -> the values whose last reader it is. A view is its origin; outputs (`keep`)
    are read in the end."""
    origin: dict[int, int] = {}
    last: dict[int, int] = {}
    for place, node in enumerate(nodes):
        x = node.inputs[0] if node.op in VIEWS else None
        if isinstance(x, Value):
            origin[node.outputs[0].id] = origin.get(x.id, x.id)
        for item in (*node.inputs, *node.outputs):
            if isinstance(item, Value):
                last[origin.get(item.id, item.id)] = place
    kept = [origin.get(i, i) for i in keep]
    deaths: dict[int, list[int]] = {}
    for owner, place in last.items():
        if owner not in kept:
            deaths.setdefault(place, []).append(owner)
    return deaths
