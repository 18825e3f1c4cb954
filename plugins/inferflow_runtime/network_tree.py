"""A network as a tree of plain data, equal layers folded."""

import dataclasses
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

from inferflow_core.axes import Dims
from inferflow_core.block import Block, all_aliases
from inferflow_core.catalog import Catalog
from inferflow_core.interfaces import TensorInfo
from inferflow_runtime.build import Network
from inferflow_runtime.wiring import Wiring, units_of

Node = dict[str, Any]
Group = tuple[list[str], Block, Dims]
"""The names of neighbours that are equal, and what they are."""


def network_tree(network: Network, tensors: Mapping[str, TensorInfo], catalog: Catalog) -> Node:
    """The node of the model. A node has

    `path` (`layers.0-29` stands for all of them) and `repeat`; `kind` and `entry`; the `fields`
    that are no defaults; `params`, each with its shape and formats in the file; `states`, what a
    token leaves behind; `tied`, name -> the param that it is; `parameters`, those below counted;
    and `children`. The model and each layer have `wiring` too: how what is inside is connected
    (`Wiring.of`; of folded layers, the first one's).
    """
    model = network.plan.model
    dims = model.dims(network.context)
    formats = {
        path: [tensors[part.tensor].format for part in binding.parts]
        for path, binding in network.bindings.params.items()
    }
    names = {(each.kind, each.value): each.name for each in catalog.entries() if not each.problem}
    tree = _Tree(formats, frozenset(all_aliases(model, dims)), names, Wiring(network.graph))
    return tree.node([""], "", 1, model, dims)


@dataclasses.dataclass(frozen=True)
class _Tree:
    formats: Mapping[str, list[str]]
    aliases: frozenset[str]
    names: Mapping[tuple[str, str], str]
    wiring: Wiring

    def node(self, paths: list[str], shown: str, repeat: int, block: Block, dims: Dims) -> Node:
        """`paths` are those of all blocks that `shown` stands for."""
        params: dict[str, Any] = {}
        for name, param in block.params(dims).items():
            own = [_join(path, name) for path in paths]
            if own[0] not in self.aliases:
                found = {format for path in own for format in self.formats.get(path, ())}
                params[name] = {"shape": list(param.shape), "formats": sorted(found)}
        children = [
            self.node(
                [_join(path, name) for path in paths for name in names],
                _join(shown, _folded(names)),
                len(names),
                child,
                inner,
            )
            for names, child, inner in _groups(block.children(dims))
        ]
        children += self._templates(shown, block, dims)
        count = sum(prod(each["shape"]) for each in params.values())
        return {
            "path": shown,
            "repeat": repeat,
            "kind": block.kind,
            "entry": self._entry(block),
            "fields": _fields(block),
            "params": params,
            "states": {
                name: {"shape": [axis.length for axis in state.axes], "type": type(state).__name__}
                for name, state in block.state(dims).items()
            },
            "tied": dict(block.aliases(dims)),
            "parameters": count + sum(each["parameters"] * each["repeat"] for each in children),
            "children": children,
        } | self._wiring(paths[0], block, dims)

    def _entry(self, block: Block) -> str:
        place = f"{type(block).__module__}:{type(block).__qualname__}"
        return self.names.get((block.kind, place), type(block).__name__)

    def _templates(self, shown: str, block: Block, dims: Dims) -> list[Node]:
        """Blocks in fields that are no children: their weights are the block's own (an expert)."""
        inside = {id(child) for child, _ in block.children(dims).values()}
        found: list[Node] = []
        for item in dataclasses.fields(block):  # pyright: ignore[reportArgumentType]
            value = getattr(block, item.name)
            if isinstance(value, Block) and id(value) not in inside:
                about = {"kind": value.kind, "entry": self._entry(value), "fields": _fields(value)}
                empty = {"params": {}, "states": {}, "tied": {}, "parameters": 0, "children": []}
                found.append({"path": _join(shown, item.name), "repeat": 1, **about, **empty})
        return found

    def _wiring(self, path: str, block: Block, dims: Dims) -> Node:
        if block.kind not in ("model", "layer"):
            return {}
        return {"wiring": self.wiring.of(path, units_of(block, dims))}


def _groups(children: Mapping[str, tuple[Block, Dims]]) -> Iterable[Group]:
    """Children in order; neighbours that have a number at the end and are equal come together."""
    groups: list[Group] = []
    for name, (block, dims) in children.items():
        stem, _, number = name.rpartition(".")
        if groups and number.isdecimal():
            names, before, inner = groups[-1]
            if names[0].rpartition(".")[0] == stem and before == block and inner == dims:
                names.append(name)
                continue
        groups.append(([name], block, dims))
    return groups


def _folded(names: list[str]) -> str:
    """`layers.0-29`."""
    return names[0] if len(names) == 1 else f"{names[0]}-{names[-1].rpartition('.')[2]}"


def _fields(block: Block) -> dict[str, Any]:
    """The values that are neither blocks nor defaults."""
    found: dict[str, Any] = {}
    for item in dataclasses.fields(block):  # pyright: ignore[reportArgumentType]
        value = getattr(block, item.name)
        inside = value.values() if isinstance(value, Mapping) else value
        several = isinstance(value, Mapping | tuple) and any(isinstance(x, Block) for x in inside)
        if value != item.default and not isinstance(value, Block) and not several:
            found[item.name] = plain(value)
    return found


def plain(value: Any) -> Any:
    """A value as JSON has it; what JSON has not becomes its text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return str(value)
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name
