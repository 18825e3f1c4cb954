"""Which backend runs a model."""

from inferflow_core.catalog import Catalog
from inferflow_core.errors import BrokenEntry, PluginError
from inferflow_core.interfaces import Backend

PREFERENCE = ("cupy", "cpu", "torch", "numpy")
"""`auto` takes the first of these that is installed and works here."""


def choose_backend(name: str, catalog: Catalog) -> tuple[Backend, str]:
    """The backend, and which and why in words. Raises PluginError where it cannot work here."""
    if name != "auto":
        backend = catalog.get("backend", name)(catalog)
        problem = backend.available()
        if problem:
            raise BrokenEntry(f"backend {name!r} does not work here: {problem}")
        return backend, f"{name}, as asked for"
    refused: list[str] = []
    for candidate in PREFERENCE:
        if candidate not in catalog.names("backend"):
            continue
        try:
            backend = catalog.get("backend", candidate)(catalog)
            problem = backend.available()
        except PluginError as error:
            problem = error.message
        else:
            if not problem:
                why = "; ".join(refused) or "the best that is installed"
                return backend, f"{candidate} ({why})"
        refused.append(f"not {candidate}: {problem}")
    raise BrokenEntry(f"no backend works here: {'; '.join(refused) or 'none is installed'}")
