"""Opening the model of a command."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from inferflow_core.catalog import Catalog
from inferflow_core.interfaces import LoadedModel
from inferflow_server.cli.fetch import fetch
from inferflow_server.cli.options import ModelOptions


@contextmanager
def opened(options: ModelOptions) -> Iterator[tuple[LoadedModel, float]]:
    """The loaded model and how many seconds loading took; fetched first if need be."""
    import inferflow_core

    fetch(options, Catalog())
    start = time.perf_counter()
    model = inferflow_core.load(options.reference, backend=options.backend, set=options.set)
    seconds = time.perf_counter() - start
    try:
        yield model, seconds
    finally:
        model.close()
