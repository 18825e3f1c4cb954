"""Opening the model of a command."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import inferflow_core
from inferflow_core.catalog import Catalog
from inferflow_core.hooks import Hooks
from inferflow_core.interfaces import LoadedModel
from inferflow_server.cli.fetch import fetch
from inferflow_server.cli.options import ModelOptions
from inferflow_server.cli.output import note


def registered() -> tuple[Catalog, Hooks]:
    """What is installed, and what hooks have added to it in this process."""
    catalog = Catalog()
    hooks = Hooks(catalog, note)
    hooks.call("inferflow_register", catalog=catalog)
    return catalog, hooks


@contextmanager
def opened(
    options: ModelOptions, catalog: Catalog | None = None
) -> Iterator[tuple[LoadedModel, float]]:
    """The loaded model and how many seconds loading took; fetched first if need be."""
    catalog = catalog or registered()[0]
    fetch(options, catalog)
    start = time.perf_counter()
    model = inferflow_core.load(
        options.reference, backend=options.backend, set=options.set, catalog=catalog
    )
    seconds = time.perf_counter() - start
    try:
        yield model, seconds
    finally:
        model.close()
