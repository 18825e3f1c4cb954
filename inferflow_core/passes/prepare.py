"""What a backend does to a graph before it compiles it: decompose, then its passes in order."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from inferflow_core.catalog import Catalog
from inferflow_core.graph import Graph
from inferflow_core.interfaces import Backend, PassBackend
from inferflow_core.optable import OpTable
from inferflow_core.passes.decompose import decompose


@dataclass(frozen=True)
class Stage:
    """A pass, and the graph that it gave. `decompose` is the first, and always runs."""

    name: str
    graph: Graph
    skipped: bool = False
    """Whether it was switched off; then the graph is that of the pass before."""


def stages(
    graph: Graph, backend: Backend, catalog: Catalog, *, skip: Collection[str] = ()
) -> Iterator[Stage]:
    """Each pass of a backend over a traced graph. Raises PluginError where a pass does not load."""
    graph = decompose(graph, OpTable(catalog), backend.native())
    yield Stage("decompose", graph)
    for name in backend.passes() if isinstance(backend, PassBackend) else ():
        if name not in skip:
            graph = catalog.get("pass", name)(graph)
        yield Stage(name, graph, name in skip)


def prepare(
    graph: Graph, backend: Backend, catalog: Catalog, *, skip: Collection[str] = ()
) -> Graph:
    """The graph behind the last pass."""
    return [stage.graph for stage in stages(graph, backend, catalog, skip=skip)][-1]
