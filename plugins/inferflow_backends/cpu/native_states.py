"""Which states have the layout of the attention kernel."""

from __future__ import annotations

from inferflow_core.graph import Node, Value


def native_states(nodes: list[Node]) -> tuple[set[str], set[str]]:
    """Paths of the states that the attention kernel can read as (keys, values).

    A state that serves as both, or an attention that the kernel has no form for, keeps the plain
    layout and numpy's attention.
    """
    keys: set[str] = set()
    values: set[str] = set()
    plain: set[str] = set()
    for node in nodes:
        if node.op != "attention":
            continue
        k, v = (str(item) for item in node.inputs[1:3])
        q = node.inputs[0]
        fits = node.attrs["causal"] and node.attrs["bias"] is None
        if not fits or not isinstance(q, Value) or q.axes[2].length % 2:
            plain |= {k, v}
        keys.add(k)
        values.add(v)
    while True:
        pairs = [
            {str(node.inputs[1]), str(node.inputs[2])} for node in nodes if node.op == "attention"
        ]
        mixed = plain | (keys & values)
        grown = mixed.union(*(pair for pair in pairs if pair & mixed))
        if grown == plain:
            return keys - plain, values - plain
        plain = grown
