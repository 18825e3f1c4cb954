"""cpu: the compiled backend. A step is a tape that numba kernels run on a team of threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import ClassVar

from inferflow_core.catalog import Catalog
from inferflow_core.graph import Graph
from inferflow_core.interfaces import Finding, Footprint, Program, Sizes, Weight
from inferflow_core.optable import OpTable
from inferflow_core.passes.decompose import decompose


class CPUBackend:
    """Packed weights, SIMD kernels, one call a step; numpy runs what has no kernel."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "cpu"

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._table = OpTable(catalog)

    def available(self) -> str:
        if not find_spec("numba"):
            return "numba is not installed"
        from inferflow_backends.cpu.isa import lacking

        return lacking()

    def native(self) -> frozenset[str]:
        """The ops that stay whole: those with kernels, and those that numpy runs whole."""
        norms = {"rms_norm", "layer_norm", "mean", "softmax"}
        return frozenset({*norms, "rope", "glu", "activation", "sigmoid", "softcap", "clamp"})

    def examine(self) -> Sequence[Finding]:
        """See `interfaces.ExaminedBackend`."""
        from inferflow_backends.cpu.examine import findings

        return findings()

    def footprint(self, graph: Graph, weights: Mapping[str, Weight]) -> Footprint:
        """See `interfaces.Footprint`. Loads no kernel."""
        from inferflow_backends.cpu.footprint import CPUFootprint

        return CPUFootprint(decompose(graph, self._table, self.native()), weights)

    def compile(self, graph: Graph, weights: Mapping[str, Weight], sizes: Sizes) -> Program:
        from inferflow_backends.cpu.kernel_cache import kernels_cached_here
        from inferflow_backends.cpu.lowerings import Lowerings
        from inferflow_backends.cpu.threads import default_threads
        from inferflow_backends.numpy import reference

        with kernels_cached_here():
            from inferflow_backends.cpu.program import CPUProgram
            from inferflow_backends.cpu.team import Team

        lowered = decompose(graph, self._table, self.native())
        lowerings = Lowerings(self._catalog)
        team = Team(sizes.threads or default_threads())
        kernel = partial(reference, self._table)
        return CPUProgram(lowered, weights, sizes, kernel, lowerings, team)
