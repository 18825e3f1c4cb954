"""Which families come nearest to a checkpoint that none matches: by the names of its tensors."""

from contextlib import closing
from functools import partial
from pathlib import Path

from inferflow_core.catalog import Catalog
from inferflow_core.errors import InferflowError
from inferflow_core.interfaces import Checkpoint
from inferflow_core.spec import Spec, read_spec
from inferflow_core.spec.merge import read_entry
from inferflow_core.spec.names_reader import read_names
from inferflow_core.spec.nodes import Leaf, Node, Section

MOST = 3


def nearest_families(path: Path, catalog: Catalog) -> list[tuple[str, int, int]]:
    """The families whose name maps know most of the tensors: name, tensors known, tensors in all.

    Of equal ones those come first that the others extend. A family that cannot be read, or has no
    map for this kind of file, is left out.
    """
    found: list[tuple[int, int, str, int]] = []
    with closing(_open(path, catalog)) as checkpoint:
        for name in catalog.names("spec"):
            try:
                if read_entry(name, catalog).match:
                    spec = read_spec(name, catalog)
                    known = _known(spec, checkpoint, catalog)
                    found.append((-known, len(spec.chain), name, len(checkpoint.tensors)))
            except InferflowError:
                continue
    return [(name, -known, total) for known, _, name, total in sorted(found)[:MOST]]


def _open(path: Path, catalog: Catalog) -> Checkpoint:
    loaders = [catalog.get("loader", name)() for name in catalog.names("loader") if "." not in name]
    return next(loader for loader in loaders if loader.recognises(path)).open(path)


def _known(spec: Spec, checkpoint: Checkpoint, catalog: Catalog) -> int:
    names: Node | None = spec.root
    for key in ("weights", "names", checkpoint.source):
        names = names.get(key) if isinstance(names, Section) else names
    if not isinstance(names, Leaf):
        return 0
    rules = read_names(str(names.value), partial(catalog.get, "names"))
    return sum(1 for tensor in checkpoint.tensors if rules.ignores(tensor) or rules.match(tensor))
