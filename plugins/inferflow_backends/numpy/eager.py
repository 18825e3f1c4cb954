"""Eager ops on numpy arrays: each op runs at once. For tests and for third-party references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferflow_backends.numpy.kernels import KERNELS
from inferflow_core.catalog import Catalog
from inferflow_core.ops import Ops
from inferflow_core.optable import OpTable


class EagerOps(Ops):
    """Runs an op's kernel, else its reference, else its decomposition."""

    def __init__(
        self, table: OpTable | None = None, *, native: frozenset[str] | None = None
    ) -> None:
        self._table = table or OpTable(Catalog([]))
        self._native = frozenset(KERNELS) if native is None else native

    def apply(self, op: str, inputs: Sequence[Any], attrs: dict[str, Any]) -> Any:
        if op == "attention" and attrs.get("bias") is not None:
            rule = attrs["bias"]
            attrs = {**attrs, "bias": lambda *columns: rule(self, *columns)}
        if op in self._native:
            return KERNELS[op](*inputs, **attrs)
        entry = self._table.get(op)
        if entry.decompose is not None:
            return entry.decompose(self, *inputs, **attrs)
        if entry.reference is None:
            raise TypeError(f"op {op!r} has neither a kernel, a decomposition nor a reference")
        return entry.reference(*inputs, **attrs)
