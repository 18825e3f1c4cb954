"""Inferflow: a model is a spec, a spec names plugins, and an engine runs them."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferflow_core.version import __version__

if TYPE_CHECKING:
    from inferflow_core.catalog import Catalog
    from inferflow_core.interfaces import LoadedModel

__all__ = ["__version__", "load"]


def load(
    model: str | Path,
    *,
    backend: str | None = None,
    set: Iterable[str] | Mapping[str, Any] | None = None,
    catalog: "Catalog | None" = None,
    pull: Callable[[int, int | None], None] | None = None,
) -> "LoadedModel":
    """Opens a model and starts its engine.

    `model` is a predefined name, a spec file, a checkpoint folder, a `.gguf` or a llama2.c `.bin`.
    `set` overrides values of its spec, as `key=value` texts or a mapping; `backend` is short for
    `run.backend`. Nothing is downloaded unless `pull` takes the progress (bytes done, bytes in
    all). Close it, or use it as a context manager. Raises InferflowError.
    """
    from inferflow_core.catalog import Catalog

    catalog = catalog or Catalog()
    return catalog.get("engine", "continuous").open(
        model, catalog=catalog, backend=backend, set=set or (), pull=pull
    )
