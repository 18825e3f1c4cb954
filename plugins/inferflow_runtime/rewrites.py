"""What a backend's passes make of a model's graph."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferflow_core.catalog import Catalog
from inferflow_core.passes.prepare import Stage, stages
from inferflow_runtime.backend import choose_backend
from inferflow_runtime.build import inspect_model


@dataclass(frozen=True)
class Rewrites:
    """The stages that a graph goes through, and for which backend."""

    backend: str
    stages: list[Stage]


def rewrites(
    reference: str | Path,
    *,
    catalog: Catalog,
    backend: str | None = None,
    set: Iterable[str] | Mapping[str, Any] = (),
) -> Rewrites:
    """Fetches nothing and reads no tensor's data. Raises InferflowError as `open_model` does."""
    network = inspect_model(reference, catalog=catalog, backend=backend, set=set)
    run = network.plan.run
    chosen, _ = choose_backend(run.backend, catalog)
    found = list(stages(network.graph, chosen, catalog, skip=run.skip_passes))
    return Rewrites(chosen.name, found)
