"""Which source a reference names by its scheme."""

from inferflow_core.catalog import Catalog
from inferflow_core.errors import SourceError
from inferflow_core.interfaces import Source
from inferflow_core.spec.nodes import Leaf, Node, Section


def source_of(reference: str, catalog: Catalog) -> Source | None:
    """The source of `scheme:rest`; None for anything else, such as a path."""
    scheme, colon, _ = reference.partition(":")
    known = colon and scheme in catalog.names("source")
    return catalog.get("source", scheme)() if known else None


def source_of_spec(weights: Node | None, catalog: Catalog, *, spec: str) -> Source | None:
    """The same for `path` in the `[weights]` of a spec.

    Raises SourceError where it may mean other files tomorrow, unless the spec and the line came
    with a package: a name of ours may mean what a model's authors offer today.
    """
    path = weights.get("path") if isinstance(weights, Section) else None
    if not isinstance(path, Leaf) or not isinstance(path.value, str):
        return None
    source = source_of(path.value, catalog)
    predefined = {spec, path.origin} <= set(catalog.names("spec"))
    if source is not None and not predefined and not source.pinned(path.value):
        raise SourceError(
            f"{spec}: weights.path {path.value!r} is not pinned: it may mean other files tomorrow",
            hint=f"`inferflow pull {path.value}` prints the reference to write instead",
        )
    return source
