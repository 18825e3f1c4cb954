"""numpy: the reference backend. Plain, float32, always there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from inferflow_core.catalog import Catalog
from inferflow_core.graph import Graph
from inferflow_core.interfaces import Backend, Program, Sizes, Weight
from inferflow_core.ops import PRIMITIVES
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

    def kernel(self, op: str) -> Callable[..., Any]:
        """The reference of any op, ours or a third party's: arrays and attributes -> array. A
        state is its pages, [pages, page_tokens, ...]. A backend may borrow what it does not have.
        """
        return reference(self._table, op)

    def prober(self, backend: Backend | None = None) -> Any:
        """Runs models on random weights on a backend (this one), for the conformance suites."""
        from inferflow_backends.numpy.prober import NumpyProber

        compile = self.compile if backend is None else backend.compile
        return NumpyProber(self._table, compile, self._compile_primitives)

    def compile(self, graph: Graph, weights: Mapping[str, Weight], sizes: Sizes) -> Program:
        return self._compile(graph, weights, sizes, self.native())

    def _compile_primitives(
        self, graph: Graph, weights: Mapping[str, Weight], sizes: Sizes
    ) -> Program:
        return self._compile(graph, weights, sizes, PRIMITIVES)

    def _compile(
        self, graph: Graph, weights: Mapping[str, Weight], sizes: Sizes, native: frozenset[str]
    ) -> Program:
        from inferflow_backends.numpy.program import NumpyProgram

        return NumpyProgram(decompose(graph, self._table, native), weights, sizes, self.kernel)


def reference(table: OpTable, op: str) -> Callable[..., Any]:
    """The numpy function of an op: ours, a third party's reference, or its decomposition."""
    from inferflow_backends.numpy.eager import EagerOps
    from inferflow_backends.numpy.kernels import KERNELS

    return KERNELS.get(op) or EagerOps(table).op(op)
