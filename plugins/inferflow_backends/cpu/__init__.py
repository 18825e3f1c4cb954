"""cpu: the compiled backend. A step is a tape that numba kernels run on a team of threads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from inferflow_backends.cpu.layouts import LAYOUT
from inferflow_core.catalog import Catalog
from inferflow_core.graph import Graph, flatten
from inferflow_core.interfaces import Finding, Footprint, Held, LaidOut, Program, Sizes, Weight
from inferflow_core.optable import OpTable
from inferflow_core.passes.prepare import prepare

if TYPE_CHECKING:
    from inferflow_core.interfaces.arrays import Array


class CPUBackend:
    """Packed weights, SIMD kernels, one call a step; numpy runs what has no kernel."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "cpu"
    layout: ClassVar[str] = LAYOUT

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
        fused = {"linear_add", "gated_linear"}
        activations = {"glu", "activation", "sigmoid", "softcap", "clamp"}
        return frozenset({*norms, *fused, *activations, "rope"})

    def passes(self) -> Sequence[str]:
        """See `interfaces.PassBackend`."""
        return ("fuse_gates", "fuse_residual", "share_inputs")

    def examine(self) -> Sequence[Finding]:
        """See `interfaces.ExaminedBackend`."""
        from inferflow_backends.cpu.examine import findings

        return findings()

    def footprint(self, graph: Graph, weights: Mapping[str, Weight]) -> Footprint:
        """See `interfaces.Footprint`. Loads no kernel."""
        from inferflow_backends.cpu.footprint import CPUFootprint

        return CPUFootprint(partial(self._prepared, graph), weights)

    def laid_out(self, graph: Graph, weights: Mapping[str, Weight]) -> Mapping[str, Held]:
        """See `interfaces.LayoutBackend`."""
        from inferflow_backends.cpu.memory import held_as, matrices, packs

        lowered = self._prepared(graph, ())
        nodes = [node for entry in lowered.entries for node in flatten(lowered, entry)]
        large = packs(weights)
        return {path: Held(*held_as(weights[path], packs=large)) for path in matrices(nodes)}

    def lay_out(self, weight: Weight, format: str) -> Array:
        """See `interfaces.LayoutBackend`."""
        from inferflow_backends.cpu.pack import pack_as
        from inferflow_backends.cpu.threads import default_threads

        return pack_as(weight, format, default_threads())

    def laid_out_bytes(self, shape: tuple[int, ...], format: str) -> int | None:
        """See `interfaces.LayoutBackend`."""
        from inferflow_backends.cpu.layouts import held, stacked

        if len(shape) not in (2, 3):
            return None
        matrix = stacked(shape) if len(shape) == 3 else (shape[0], shape[1])
        found, count = held(matrix, format, packs=True)
        return count if found == format else None

    def laid_out_values(self, weight: LaidOut) -> Array:
        """See `interfaces.LayoutBackend`. Needs no kernel."""
        from inferflow_backends.cpu.unpack import unpacked

        return unpacked(weight.data, weight.format, weight.shape)

    def compile(self, graph: Graph, weights: Mapping[str, Weight], sizes: Sizes) -> Program:
        from inferflow_backends.cpu.kernel_cache import kernels_cached_here
        from inferflow_backends.cpu.lowerings import Lowerings
        from inferflow_backends.cpu.threads import default_threads
        from inferflow_backends.numpy import reference

        with kernels_cached_here():
            from inferflow_backends.cpu.program import CPUProgram
            from inferflow_backends.cpu.team import Team

        lowered = self._prepared(graph, sizes.skip_passes)
        lowerings = Lowerings(self._catalog)
        team = Team(sizes.threads or default_threads())
        kernel = partial(reference, self._table)
        return CPUProgram(lowered, weights, sizes, kernel, lowerings, team)

    def _prepared(self, graph: Graph, skip: Collection[str]) -> Graph:
        return prepare(graph, self, self._catalog, skip=skip)
