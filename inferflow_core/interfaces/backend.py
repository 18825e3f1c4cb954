"""Backends turn graphs into programs; some tell what these will hold, and how they work here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from inferflow_core.interfaces.model_files import LaidOut, Weight
from inferflow_core.interfaces.program import Program, Sizes

if TYPE_CHECKING:
    from inferflow_core.graph import Graph
    from inferflow_core.interfaces.arrays import Array


class Backend(Protocol):
    """An entry of `inferflow.backends`.

    It may have `footprint(graph, weights) -> Footprint`, where it holds anything but float32
    numbers (`FootprintBackend`); without it `inferflow plan` counts these. It may have `examine()`
    (`ExaminedBackend`), and `passes()` (`PassBackend`).
    """

    name: ClassVar[str]

    def available(self) -> str:
        """Empty if it works here, else why not."""
        ...

    def native(self) -> frozenset[str]:
        """Names of the ops it runs itself; the others reach it decomposed."""
        ...

    def compile(self, graph: Graph, weights: Mapping[str, Weight], sizes: Sizes) -> Program: ...


@dataclass(frozen=True)
class Held:
    """How a program holds a param: the format, and bytes. `f32` are plain numbers."""

    format: str
    nbytes: int


class Footprint(Protocol):
    """The memory of a program, told before it is compiled and before a weight is read."""

    @property
    def weights(self) -> Mapping[str, Held]:
        """By path, every param that the program reads."""
        ...

    def cache(self, sizes: Sizes) -> int:
        """Bytes of all pages of all states."""
        ...

    def scratch(self, sizes: Sizes) -> int:
        """Bytes beside weights and cache, at most: what the largest step may take."""
        ...


@runtime_checkable
class FootprintBackend(Protocol):
    """A backend that tells what its programs will hold."""

    def footprint(self, graph: Graph, weights: Mapping[str, Weight]) -> Footprint:
        """Looks at the weights' shapes and formats alone."""
        ...


@runtime_checkable
class LayoutBackend(Protocol):
    """A backend whose weights a file can keep in the order in which its kernels read them, so that
    opening a model again is mapping it into memory (`inferflow convert`, ADR 22)."""

    layout: ClassVar[str]
    """The backend's name, a dot, and the version of the order: any change of it is a new one."""

    def laid_out(self, graph: Graph, weights: Mapping[str, Weight]) -> Mapping[str, Held]:
        """By path, the params that it has in an order of its own; the others a file keeps as they
        are. Looks at shapes and formats alone."""
        ...

    def lay_out(self, weight: Weight, format: str) -> Array:
        """uint8, the bytes that `laid_out` foretold."""
        ...

    def laid_out_bytes(self, shape: tuple[int, ...], format: str) -> int | None:
        """What a matrix takes; None where none is laid out so."""
        ...

    def laid_out_values(self, weight: LaidOut) -> Array:
        """float32 of its shape, the same numbers as before it was laid out."""
        ...


@runtime_checkable
class PassBackend(Protocol):
    """A backend whose `compile` has a graph rewritten by passes (`inferflow_core.passes.prepare`),
    but for those of `Sizes.skip_passes`."""

    def passes(self) -> Sequence[str]:
        """Entries of `inferflow.passes`, in order; they see the graph decomposed."""
        ...


@dataclass(frozen=True)
class Finding:
    """A line of `inferflow doctor`."""

    what: str
    state: str
    """`ok`, `warning` (it works, but not as it could) or `problem` (it does not work)."""
    text: str
    help: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """For programs: JSON data."""


@runtime_checkable
class ExaminedBackend(Protocol):
    """A backend that tells `inferflow doctor` how it works on this machine."""

    def examine(self) -> Sequence[Finding]:
        """Asked where it is available. Writes nothing and compiles nothing."""
        ...
