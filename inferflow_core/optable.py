"""The op table: ours, and those that plugins registered under `inferflow.ops`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from inferflow_core.catalog import Catalog
from inferflow_core.decompositions import DECOMPOSITIONS
from inferflow_core.errors import UnknownEntry, nearest
from inferflow_core.shapes import RULES, Rule


@dataclass(frozen=True)
class Op:
    """An op of a third party: an entry of `inferflow.ops`, named `prefix.name`.

    `shape` sees each input as `shapes.Typed` (None where absent) and the attributes.
    `reference(*arrays, **attrs)` computes with numpy, each row by itself; every backend can run it.
    With `decompose(ops, *tensors, **attrs)` it runs as primitives instead.
    """

    shape: Rule
    reference: Callable[..., Any] | None = None
    decompose: Callable[..., Any] | None = None


class OpTable:
    """Looks ops up by name."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def get(self, name: str) -> Op:
        """Raises UnknownEntry (and what the catalog raises) where there is none."""
        if name in RULES:
            return Op(RULES[name], None, DECOMPOSITIONS.get(name))
        if "." not in name:
            raise UnknownEntry(f"no op named {name!r}.{nearest(name, RULES)}")
        return self._catalog.get("op", name)
