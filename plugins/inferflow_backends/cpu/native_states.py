"""Which states have the layout of the attention kernel."""

from __future__ import annotations

from inferflow_backends.cpu.cache_formats import Layout
from inferflow_backends.cpu.score_table import by_distance
from inferflow_core.graph import Function, Node, StateRef, Value


def native_states(nodes: list[Node]) -> dict[str, Layout]:
    """Path -> layout of the states that the attention kernel reads.

    What serves as keys alone lies in tiles of channels; values, and what serves as both, in rows. A
    state that another op reads, or an attention whose score rule is none of distances, keeps the
    plain layout of numpy.
    """
    pairs: list[tuple[str, str]] = []
    plain: set[str] = set()
    for node in nodes:
        states = [item.path for item in node.inputs if isinstance(item, StateRef)]
        if node.op == "attention" and len(states) == 2:
            pairs.append((states[0], states[1]))
            if not _fits(node):
                plain |= {*states}
        elif node.op != "append":
            plain |= {*states}
    while grown := {path for pair in pairs if plain.intersection(pair) for path in pair} - plain:
        plain |= grown
    rows = {values for _, values in pairs}
    return {
        path: "rows" if path in rows else "keys"
        for pair in pairs
        for path in pair
        if path not in plain
    }


def _fits(node: Node) -> bool:
    rule = node.attrs["bias"]
    known = isinstance(node.inputs[0], Value) and (rule is None or isinstance(rule, Function))
    return known and (rule is None or by_distance(rule))
