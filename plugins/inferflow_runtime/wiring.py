"""How blocks feed each other, read off the traced graph: for whoever draws a network."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inferflow_core.axes import Dims
from inferflow_core.block import Block
from inferflow_core.graph import Graph, Node, ParamRef, StateRef, Value, flatten

Step = dict[str, Any]

QUIET = frozenset({"expand", "merge_axes", "select", "slice", "split_axis", "to_float"})
"""Ops that move numbers: who reads their result reads what they read."""


class Wiring:
    """The flattened entries of a graph, asked for one block at a time."""

    def __init__(self, graph: Graph) -> None:
        self._columns = frozenset(value.id for value in graph.inputs.values())
        self._outputs = {entry: body.outputs for entry, body in graph.entries.items()}
        self._nodes = {entry: list(flatten(graph, entry)) for entry in graph.entries}

    def of(self, path: str, units: Sequence[str]) -> dict[str, list[Step]]:
        """What happens in the block at `path`, by entry: a list of steps. `units` are the blocks
        below it that count as one step each; every other op is a step of its own.

        A step has `block` (one of the units, or None), `op` and `note` (a constant, a weight) where
        it is no block, and `inputs`: for each the step that it is `from` (None: from outside) and
        its `shape`. What the model puts out is a step `output` with its name as `note`.
        """
        places = {unit: f"{path}.{unit}" if path else unit for unit in units}
        found: dict[str, list[Step]] = {}
        for entry, nodes in self._nodes.items():
            below = [node for node in nodes if _within(node.path, path)]
            if below:
                steps = _steps(below, places, self._columns)
                if not path:
                    steps.give(self._outputs[entry])
                found[entry] = steps.steps
        return found


def units_of(block: Block, dims: Dims) -> list[str]:
    """The blocks below, by path; those that hold layers are looked into."""
    units: list[str] = []
    for name, (child, inner) in block.children(dims).items():
        deeper = units_of(child, inner) if _holds_layers(child, inner) else []
        units += [f"{name}.{each}" for each in deeper] or [name]
    return units


def _holds_layers(block: Block, dims: Dims) -> bool:
    children = block.children(dims).values()
    return any(child.kind == "layer" or _holds_layers(child, inner) for child, inner in children)


def _within(path: str, outer: str) -> bool:
    return not outer or path == outer or path.startswith(f"{outer}.")


@dataclass
class _Steps:
    columns: frozenset[int]
    steps: list[Step] = field(default_factory=list[Step])
    makers: dict[int, set[int | None]] = field(default_factory=dict[int, "set[int | None]"])
    """Value -> the steps that it comes from; None is outside."""
    notes: dict[int, str] = field(default_factory=dict[int, str])

    def step(self, block: str | None, op: str = "") -> int:
        self.steps.append({"block": block, "op": op, "note": "", "inputs": []})
        return len(self.steps) - 1

    def sources(self, node: Node) -> set[int | None]:
        found: set[int | None] = set()
        for value in _values(node):
            found |= self._makers(value)
        return found

    def _makers(self, value: Value) -> set[int | None]:
        return set() if value.id in self.columns else self.makers.get(value.id, {None})

    def feed(self, index: int, node: Node) -> None:
        """The node is part of the step."""
        for value in _values(node):
            self._connect(index, value)
        for output in node.outputs:
            self.makers[output.id] = {index}

    def _connect(self, index: int, value: Value) -> None:
        step = self.steps[index]
        step["note"] = step["note"] or self.notes.get(value.id, "")
        known = {source["from"] for source in step["inputs"]} | {index}
        for maker in sorted(
            self._makers(value) - known, key=lambda each: -1 if each is None else each
        ):
            step["inputs"].append({"from": maker, "shape": [axis.size for axis in value.axes]})

    def give(self, outputs: Mapping[str, Value]) -> None:
        for name, value in outputs.items():
            index = self.step(None, "output")
            self.steps[index]["note"] = name
            self._connect(index, value)


def _steps(nodes: Iterable[Node], places: Mapping[str, str], columns: frozenset[int]) -> _Steps:
    found = _Steps(columns)
    nearest = sorted(places, key=len, reverse=True)
    for node in nodes:
        owners = [node.path, *_paths(node)]
        unit = next((u for o in owners for u in nearest if _within(o, places[u])), None)
        if unit is not None:
            last = len(found.steps) - 1
            again = last >= 0 and found.steps[last]["block"] == unit
            found.feed(last if again else found.step(unit), node)
        elif node.op in ("constant", "value"):
            for output in node.outputs:
                found.makers[output.id] = set()
                found.notes[output.id] = _note(node)
        elif node.op in QUIET:
            sources = found.sources(node)
            found.makers |= {output.id: sources for output in node.outputs}
        else:
            found.feed(found.step(None, node.op), node)
    return found


def _values(node: Node) -> list[Value]:
    return [each for each in node.inputs if isinstance(each, Value)]


def _paths(node: Node) -> list[str]:
    """Those of the weights and caches that it uses: what an encoder writes into a decoder's layer
    is that layer's."""
    return [each.path for each in node.inputs if isinstance(each, ParamRef | StateRef)]


def _note(node: Node) -> str:
    """A constant's number, a weight's name."""
    names = [path.rpartition(".")[2] for path in _paths(node)]
    numbers: Sequence[float] = node.attrs.get("numbers", ())
    return names[0] if names else f"{numbers[0]:.4g}" if len(numbers) == 1 else ""
