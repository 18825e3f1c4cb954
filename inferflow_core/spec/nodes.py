"""What a spec is made of once it is read: tables, lists and values that remember where they stand.

`at` is the dotted path where a node is written, `origin` the file (or `--set`, `default`,
`checkpoint`) that it comes from. A reference copies nodes, so both stay true behind it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FUNCTIONS: Mapping[str, int] = {"add": 2, "mul": 2, "div": 2, "sqrt": 1}
"""The four functions and how many operands each takes."""

CASE_KEYS = ("case", "of", "else")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A written value; a text may be a reference."""

    value: bool | int | float | str
    at: str
    origin: str


@dataclass(frozen=True, slots=True)
class Datum:
    """A value that is final: never looked into for references, `use` or `case`.

    Scalars of the spec after evaluation, and whatever comes from a checkpoint: there, lists and
    mappings too.
    """

    value: Any
    at: str
    origin: str


@dataclass(frozen=True, slots=True)
class Array:
    items: "tuple[Node, ...]"
    at: str
    origin: str


@dataclass(frozen=True, slots=True)
class Section:
    """A table."""

    items: "Mapping[str, Node]"
    at: str
    origin: str

    @property
    def is_case(self) -> bool:
        return "case" in self.items

    @property
    def function(self) -> str | None:
        """The function's name if the table is a call of one of the four."""
        name = next(iter(self.items), "")
        return name if len(self.items) == 1 and name in FUNCTIONS else None

    def get(self, key: str) -> "Node | None":
        return self.items.get(key)


@dataclass(frozen=True, slots=True)
class Patched:
    """Keys laid over whatever a case or a reference turns out to be (`--set` below one)."""

    base: "Node"
    patch: Section

    @property
    def at(self) -> str:
        return self.base.at

    @property
    def origin(self) -> str:
        return self.base.origin


@dataclass(frozen=True, slots=True)
class Layers:
    """The evaluated tables of a stack's layers, one for each index. Only in filled tables."""

    items: tuple[Section, ...]
    at: str
    origin: str


Node = Leaf | Datum | Array | Section | Patched | Layers
Value = Datum | Array | Section | None
"""An evaluated node: what is inside of a list or table is not evaluated yet. None: absent."""


def join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
