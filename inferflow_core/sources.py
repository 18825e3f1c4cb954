"""Which source a reference names by its scheme."""

from inferflow_core.catalog import Catalog
from inferflow_core.errors import SourceError
from inferflow_core.interfaces import Source


def source_of(reference: str, catalog: Catalog) -> Source | None:
    """The source of `scheme:rest`; None for anything else, such as a path."""
    scheme, colon, _ = reference.partition(":")
    known = colon and scheme in catalog.names("source")
    return catalog.get("source", scheme)() if known else None


def source_of_spec(reference: str, catalog: Catalog, *, spec: str) -> Source | None:
    """The same for what a spec says. Raises SourceError where it may mean other files tomorrow."""
    source = source_of(reference, catalog)
    if source is not None and not source.pinned(reference):
        raise SourceError(
            f"{spec}: weights.path {reference!r} is not pinned: it may mean other files tomorrow",
            hint=f"`inferflow pull {reference}` prints the reference to write instead",
        )
    return source
