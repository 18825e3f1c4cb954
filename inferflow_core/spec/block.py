"""One block from its table, without a spec around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferflow_core.catalog import Catalog
from inferflow_core.spec.build import Builder, Built
from inferflow_core.spec.field_types import Plugin
from inferflow_core.spec.nodes import Section
from inferflow_core.spec.problems import Problems
from inferflow_core.spec.reader import to_node
from inferflow_core.spec.values import Values


def build_block(table: Mapping[str, Any], kind: str, *, catalog: Catalog) -> Any:
    """The block that a table (`use` and fields) describes. Raises SpecError."""
    problems = Problems()
    values = Values(Section({}, "", "table"), {}, "")
    node = to_node(dict(table), kind, "table")
    built = Builder(values, catalog, problems).build(Plugin(kind), node)
    problems.raise_if_any(f"{kind} table")
    if not isinstance(built, Built):
        raise TypeError(f"a table of {kind} gave no block")
    return built.value
