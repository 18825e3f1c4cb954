"""Suite of passes: the graph is another one, and what it computes is the same."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from inferflow_core.block import Model
from inferflow_core.graph import Graph
from inferflow_core.interfaces import Backend, Program, Sizes, Weight
from inferflow_core.optable import OpTable
from inferflow_core.testing.registered import EntrySuite
from inferflow_core.tracer import trace

SEQUENCES = [[(5 * i + n) % 30 for i in range(n)] for n in (21, 1, 7)]


@dataclass(frozen=True)
class PassedBackend:
    """A backend that a pass comes before."""

    name: ClassVar[str] = "passed"
    backend: Backend
    apply: Callable[[Graph], Graph]

    def available(self) -> str:
        return self.backend.available()

    def native(self) -> frozenset[str]:
        return self.backend.native()

    def compile(self, graph: Graph, weights: Mapping[str, Weight], sizes: Sizes) -> Program:
        return self.backend.compile(self.apply(graph), weights, sizes)


class PassSuite(EntrySuite):
    """Give `name` and `model`."""

    kind: ClassVar[str] = "pass"
    tolerance: ClassVar[float] = 0.0
    """Largest difference that it makes, as a share of the largest number."""

    def model(self) -> Model:
        """A model of at least 30 tokens in which the pass has something to do."""
        raise NotImplementedError

    def graph(self) -> Graph:
        model = self.model()
        return trace(model, model.dims(64), OpTable(self.catalog()))

    def test_changes_the_graph(self) -> None:
        """It finds what it looks for, and the graph that it was given stays as it was."""
        graph, before = self.graph(), self.graph()
        assert self.entry()(graph) != graph
        assert graph == before

    def test_keeps_what_the_engine_sees(self) -> None:
        """Inputs, params, states, entries, and names and axes of their outputs are the same."""
        graph = self.graph()
        passed = self.entry()(graph)
        assert (passed.inputs, passed.params, passed.states) == (
            *(graph.inputs, graph.params, graph.states),
        )
        for name, body in graph.entries.items():
            axes = {key: value.axes for key, value in body.outputs.items()}
            found = passed.entries[name].outputs
            assert {key: value.axes for key, value in found.items()} == axes
        assert passed.entries.keys() == graph.entries.keys()

    def test_results_are_the_same(self) -> None:
        """The reference backend gives the same with it and without it, within `tolerance`."""
        catalog = self.catalog()
        numpy: Any = catalog.get("backend", "numpy")(catalog)
        passed = numpy.prober(PassedBackend(numpy, self.entry()))
        expected = b"".join(numpy.prober().run(self.model(), SEQUENCES))
        found = b"".join(passed.run(self.model(), SEQUENCES))
        x, y = array("f", expected), array("f", found)
        worst = max(abs(a - b) for a, b in zip(x, y, strict=True))
        assert worst <= self.tolerance * max(map(abs, x))
