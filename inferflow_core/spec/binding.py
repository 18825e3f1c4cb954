"""Binding: which tensors of a checkpoint make up which param, decided by names and shapes alone.

Every tensor is bound or ignored, every param is bound, and shapes are equal, before any data is
read. What comes out says how to compute each param; `inferflow_runtime.weights` does it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from types import MappingProxyType
from typing import Any, Protocol

from inferflow_core.errors import Problem, SpecError, nearest
from inferflow_core.interfaces import TensorInfo
from inferflow_core.spec.binding_report import Report, Shape, written
from inferflow_core.spec.names import NameMap, Rule
from inferflow_core.spec.names_reader import REFERENCE


class Shaped(Protocol):
    """What `bind` needs to know of a param; `block.Param` is one."""

    @property
    def shape(self) -> Shape: ...


@dataclass(frozen=True)
class Cut:
    """A piece of a fused tensor: `axis` is `groups` equal runs; of each, `size` entries from
    `start`, joined."""

    axis: int
    start: int
    size: int
    groups: int = 1


@dataclass(frozen=True)
class Part:
    """A tensor and what is done to it, in the order of the fields."""

    tensor: str
    squeeze: bool = False
    transpose: bool = False
    cut: Cut | None = None
    add: float = 0.0
    unit_rows: bool = False


@dataclass(frozen=True)
class Binding:
    """A param and its parts: one, or (stacked) one for each index of its first axis."""

    param: str
    shape: Shape
    parts: tuple[Part, ...]
    stacked: bool = False


@dataclass(frozen=True)
class Bindings:
    """All bindings of a model. `duplicates` are second sources of params (a tied weight that the
    file holds too): to be compared with the first when data is read, then dropped."""

    params: Mapping[str, Binding]
    duplicates: tuple[Binding, ...] = ()
    ignored: tuple[str, ...] = ()


def provided(names: NameMap, tensors: Iterable[str]) -> frozenset[str]:
    """The paths that a checkpoint's tensors lead to; `.__contains__` answers `Block.decide`."""
    paths: set[str] = set()
    for tensor in tensors:
        match = None if names.ignores(tensor) else names.match(tensor)
        if match is not None:
            rule, values = match
            paths.update(target.fill(values) for target in rule.targets)
    return frozenset(paths)


def bind(
    names: NameMap,
    params: Mapping[str, Shaped],
    tensors: Mapping[str, TensorInfo],
    *,
    aliases: Mapping[str, str] = MappingProxyType({}),
    config: Mapping[str, Any] = MappingProxyType({}),
    where: str = "checkpoint",
) -> Bindings:
    """Binds a checkpoint's tensors to a model's params.

    `aliases` lead from tied paths to the params that hold their weights; `config` answers
    `groups = "${config.x}"` and tells of quantized files; `where` names the checkpoint in errors.
    Raises BindingError with everything that does not fit, SpecError where `groups` cannot be
    resolved.
    """
    shapes = {path: param.shape for path, param in params.items() if path not in aliases}
    binder = _Binder(names, shapes, aliases, config)
    for info in tensors.values():
        binder.add(info)
    bound = {path: binder.bindings_of(path) for path in shapes}
    binder.report.check(where, names, shapes, tensors, config)
    return Bindings(
        params={path: bindings[0] for path, bindings in bound.items()},
        duplicates=tuple(second for bindings in bound.values() for second in bindings[1:]),
        ignored=tuple(binder.report.ignored),
    )


@dataclass
class _Binder:
    names: NameMap
    shapes: Mapping[str, Shape]
    aliases: Mapping[str, str]
    config: Mapping[str, Any]
    report: Report = field(default_factory=Report)
    wholes: dict[str, list[tuple[bool, Part]]] = field(default_factory=dict[str, Any])
    """Path -> parts that are the whole param, and whether they were meant for a tied path."""
    stacks: dict[str, dict[int, list[Part]]] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        self.depths = _depths(self.shapes)

    def add(self, info: TensorInfo) -> None:
        """Finds the place of one tensor, or reports why it has none."""
        if self.names.ignores(info.name):
            self.report.ignored.append(info.name)
            return
        match = self.names.match(info.name)
        if match is None:
            self.report.strays[info.name] = None
            return
        rule, values = match
        asked = [target.fill(values) for target in rule.targets]
        paths = [self._resolve(path) for path in asked]
        unknown = [path for path in paths if path not in self.shapes]
        if unknown:
            depth = self._depth_exceeded(unknown[0])
            if depth is not None and self.names.ignore_extra_layers:
                self.report.ignored.append(info.name)
            else:
                self.report.strays[info.name] = (unknown[0], depth)
                self.report.touched.update(paths)
            return
        self.report.touched.update(paths)
        index = None if rule.stack is None else int(values[rule.stack])
        parts = self._parts(rule, info, index, paths)
        if isinstance(parts, str):
            self.report.wrong[info.name] = parts
            return
        for path, path_asked, part in zip(paths, asked, parts, strict=True):
            if index is None:
                self.wholes.setdefault(path, []).append((path != path_asked, part))
            else:
                self.stacks.setdefault(path, {}).setdefault(index, []).append(part)

    def _resolve(self, path: str) -> str:
        for _ in self.aliases:
            if path not in self.aliases:
                break
            path = self.aliases[path]
        return path

    def _depth_exceeded(self, path: str) -> int | None:
        """The number of layers, if the path is of a layer that is not among them."""
        prefix = ""
        for component in path.split("."):
            if component.isdecimal() and prefix in self.depths:
                return self.depths[prefix] if int(component) >= self.depths[prefix] else None
            prefix = f"{prefix}.{component}" if prefix else component
        return None

    def _parts(
        self, rule: Rule, info: TensorInfo, index: int | None, paths: list[str]
    ) -> list[Part] | str:
        """The tensor's part in each param, or what is wrong with its shape."""
        shape = info.shape
        if rule.squeeze:
            shape = tuple(size for size in shape if size != 1)
        if rule.transpose:
            if len(shape) < 2:
                return f"is {written(info.shape)}, which has no two axes to transpose"
            shape = (*shape[:-2], shape[-1], shape[-2])
        after = written(shape) if shape == info.shape else f"{written(shape)} after its operations"
        wanted = [self.shapes[path] for path in paths]
        if index is not None:
            if not wanted[0] or index >= wanted[0][0]:
                return f"has index {index}, but {paths[0]} is {written(wanted[0])}"
            wanted = [wanted[0][1:]]
        cuts: list[Cut | None] = [None]
        if len(paths) > 1:
            axis, groups = rule.axis, self._groups(rule)
            if any(axis >= len(each) for each in (shape, *wanted)):
                return f"is {after}; {_needs(paths, wanted)}: no axis {axis} to split along"
            sizes = [each[axis] for each in wanted]
            if any(size % groups for size in sizes):
                return (
                    f"is split in groups of {groups}, which {_needs(paths, wanted)} do not divide"
                )
            starts = [start // groups for start in accumulate(sizes, initial=0)]
            cuts = [
                Cut(axis, start, size // groups, groups)
                for start, size in zip(starts, sizes, strict=False)
            ]
            whole = {(*each[:axis], sum(sizes), *each[axis + 1 :]) for each in wanted}
        else:
            whole = set(wanted)
        if whole != {shape}:
            return f"is {after}; {_needs(paths, wanted)}"
        part = Part(
            info.name,
            squeeze=rule.squeeze,
            transpose=rule.transpose,
            add=rule.add,
            unit_rows=rule.unit_rows,
        )
        return [replace(part, cut=cut) for cut in cuts]

    def _groups(self, rule: Rule) -> int:
        if isinstance(rule.groups, int):
            return rule.groups
        reference = REFERENCE.fullmatch(rule.groups)
        assert reference is not None, "checked when the map was read"
        key, optional = reference.groups()
        value = self.config.get(key)
        if value is None and optional:
            return 1
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            found = nearest(key, self.config) if value is None else f" It is {value!r}."
            path = f'map."{rule.key.text}".groups'
            message = f"needs a whole number from 1 in the checkpoint's config key {key!r}.{found}"
            raise SpecError(f"name map {self.names.name!r}", [Problem(path, message)])
        return value

    def bindings_of(self, path: str) -> list[Binding]:
        """The bindings of a param, the one to keep first; reports it where there is none."""
        shape = self.shapes[path]
        wholes = sorted(self.wholes.get(path, []), key=lambda whole: whole[0])
        bindings = [Binding(path, shape, (part,)) for _, part in wholes]
        slots = self.stacks.get(path, {})
        for k in range(max(map(len, slots.values()), default=0)):
            parts = [slots[j][k] for j in range(shape[0]) if k < len(slots.get(j, ()))]
            if len(parts) == shape[0]:
                bindings.append(Binding(path, shape, tuple(parts), stacked=True))
            else:
                lacking = next(j for j in range(shape[0]) if k >= len(slots.get(j, ())))
                self.report.incomplete[path] = (
                    f"{len(parts)} of {shape[0]} tensors of its stack; number {lacking} is missing"
                )
        if not bindings and path not in self.report.touched:
            self.report.unbound.append(path)
        return bindings


def _needs(paths: list[str], wanted: list[Shape]) -> str:
    return " and ".join(
        f"{path} needs {written(shape)}" for path, shape in zip(paths, wanted, strict=True)
    )


def _depths(paths: Iterable[str]) -> dict[str, int]:
    """For each path that numbers follow (`layers`): how many there are."""
    depths: dict[str, int] = {}
    for path in paths:
        prefix = ""
        for component in path.split("."):
            if component.isdecimal():
                depths[prefix] = max(depths.get(prefix, 0), int(component) + 1)
            prefix = f"{prefix}.{component}" if prefix else component
    return depths
