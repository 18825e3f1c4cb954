"""Layers that come again, in turn: window, full, window, full is a pair that comes twice."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

Node = dict[str, Any]
RUN = re.compile(r"(.*\.)(\d+)-(\d+)")


@dataclass(frozen=True)
class Group:
    """`nodes` are `times` times the same, one after the other."""

    nodes: tuple[Node, ...]
    times: int = 1

    @cached_property
    def shown(self) -> tuple[Node, ...]:
        """One of each, with the formats that the weights of all have."""
        size = len(self.nodes) // self.times
        return tuple(_together(self.nodes[place::size]) for place in range(size))

    def holds(self, path: str) -> bool:
        """Whether one of the nodes is, or stands for, the block at `path`."""
        return any(_stands_for(node["path"], path) for node in self.nodes)

    def names(self) -> list[str]:
        """For each node that is shown, the places where it comes: `layers.0, 2, …, 24`."""
        size = len(self.shown)
        return [_listed([n["path"] for n in self.nodes[i::size]]) for i in range(size)]


def folded(nodes: Sequence[Node]) -> list[Group]:
    """Blocks in order, of which equal neighbours are folded already (`repeat`): layers of one stack
    that take turns are a group, and every other block is one of its own."""
    groups: list[Group] = []
    for stack, several in groupby(nodes, _stack):
        some = list(several)
        groups += _turns(some) if stack else [Group((node,)) for node in some]
    return groups


def _stack(node: Node) -> str:
    """The path of a layer without its number; nothing for other blocks."""
    return node["path"].rpartition(".")[0] if node["kind"] == "layer" else ""


def _turns(nodes: Sequence[Node]) -> Iterator[Group]:
    looks = [(_look(node), node["repeat"]) for node in nodes]
    start = 0
    while start < len(nodes):
        size, times = _best(looks[start:])
        end = start + size * times
        yield Group(tuple(nodes[start:end]), times)
        start = end


def _best(looks: Sequence[Any]) -> tuple[int, int]:
    """The shortest period at the beginning that reaches furthest, and how often it comes."""
    best = (1, 1)
    for size in range(2, len(looks) // 2 + 1):
        times = 1
        while looks[size * times : size * (times + 1)] == looks[:size]:
            times += 1
        if times > 1 and size * times > best[0] * best[1]:
            best = (size, times)
    return best


def _look(node: Node) -> Any:
    """All that a drawing shows of a node but its place."""
    inside = [_look(child) for child in node["children"]]
    shapes = {name: param["shape"] for name, param in node["params"].items()}
    return [node["kind"], node["entry"], node["fields"], shapes, inside]


def _stands_for(shown: str, path: str) -> bool:
    run = RUN.fullmatch(shown)
    if run is None:
        return shown == path
    number = path.removeprefix(run[1])
    return (
        path.startswith(run[1]) and number.isdecimal() and int(run[2]) <= int(number) <= int(run[3])
    )


def _together(nodes: Sequence[Node]) -> Node:
    first = nodes[0]
    params = {
        name: param | {"formats": sorted({f for n in nodes for f in n["params"][name]["formats"]})}
        for name, param in first["params"].items()
    }
    children = [_together(each) for each in zip(*(n["children"] for n in nodes), strict=True)]
    return first | {"params": params, "children": children}


def _listed(paths: Sequence[str]) -> str:
    first, *rest = [paths[0], *(path.rpartition(".")[2] for path in paths[1:])]
    return ", ".join([first, *rest] if len(rest) < 3 else [first, rest[0], "…", rest[-1]])
