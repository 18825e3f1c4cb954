"""numpy: the reference backend. Plain, float32, always there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from inferflow_core.catalog import Catalog
from inferflow_core.graph import Graph
from inferflow_core.interfaces import Sizes, Weight
from inferflow_core.optable import OpTable
from inferflow_core.passes.decompose import decompose


class NumpyBackend:
    """Runs every graph; ops of third parties run by their numpy reference."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "numpy"

    def __init__(self, catalog: Catalog) -> None:
        self._table = OpTable(catalog)

    def available(self) -> str:
        return ""

    def native(self) -> frozenset[str]:
        from inferflow_backends.numpy.kernels import KERNELS

        return frozenset(KERNELS)

    def compile(self, graph: Graph, weights: Mapping[str, Weight], sizes: Sizes) -> Any:
        from inferflow_backends.numpy.program import NumpyProgram

        lowered = decompose(graph, self._table, self.native())
        return NumpyProgram(lowered, weights, sizes, self._kernel)

    def _kernel(self, op: str) -> Callable[..., Any]:
        from inferflow_backends.numpy.kernels import KERNELS

        if op in KERNELS:
            return KERNELS[op]
        reference = self._table.get(op).reference
        if reference is None:
            raise TypeError(f"op {op!r} has neither a kernel, a decomposition nor a reference")
        return reference
