"""Which families come nearest to a checkpoint that none matches: by the names of its tensors."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from inferflow_core.catalog import Catalog
from inferflow_core.errors import InferflowError
from inferflow_core.interfaces import Checkpoint
from inferflow_core.spec import Spec, read_spec
from inferflow_core.spec.merge import read_entry
from inferflow_core.spec.names import NameMap
from inferflow_core.spec.names_files import find_names
from inferflow_core.spec.names_reader import read_names
from inferflow_core.spec.nodes import Leaf, Node, Section


@dataclass(frozen=True)
class Near:
    """A family by one of its name maps: the tensors that no entry is for, and how many of all end
    as some entry does."""

    family: str
    chain: Sequence[str]
    strays: Sequence[str]
    alike: int
    tensors: int

    @property
    def known(self) -> int:
        return self.tensors - len(self.strays)

    @property
    def nearness(self) -> int:
        return self.known + self.alike


def nearest_families(path: Path, catalog: Catalog) -> list[Near]:
    """The nearest first. A family that cannot be read, or has no map for this kind of file, is left
    out; of equals, one that changes no other comes first."""
    found: list[Near] = []
    with closing(_open(path, catalog)) as checkpoint:
        for name in catalog.names("spec"):
            try:
                if read_entry(name, catalog).match:
                    spec = read_spec(name, catalog)
                    found += [
                        Near(name, spec.chain, *_counts(rules, checkpoint.tensors))
                        for rules in _maps(spec, checkpoint.source, catalog)
                    ]
            except InferflowError:
                continue
    best = sorted(found, key=lambda each: (-each.nearness, len(each.chain), each.family))
    return list({each.family: each for each in reversed(best)}.values())[::-1]


def _open(path: Path, catalog: Catalog) -> Checkpoint:
    loaders = [catalog.get("loader", name)() for name in catalog.names("loader") if "." not in name]
    return next(loader for loader in loaders if loader.recognises(path)).open(path)


def _maps(spec: Spec, source: str, catalog: Catalog) -> list[NameMap]:
    """Every map that the spec may name for this kind of file."""
    names: Node | None = spec.root
    for key in ("weights", "names"):
        names = names.get(key) if isinstance(names, Section) else None
    if isinstance(names, Section) and not names.is_case:
        names = names.get(source)
    return [read_names(name, find_names(catalog)) for name in _texts(names)]


def _texts(node: Node | None) -> list[str]:
    """What a value may become: itself, or a branch of its `case`."""
    if isinstance(node, Leaf):
        return [str(node.value)]
    if not isinstance(node, Section):
        return []
    of = node.get("of")
    branches = [*(of.items.values() if isinstance(of, Section) else ()), node.get("else")]
    return [text for branch in branches for text in _texts(branch)]


def _counts(rules: NameMap, tensors: Iterable[str]) -> tuple[list[str], int, int]:
    names = [name for name in tensors if not rules.ignores(name)]
    strays = [name for name in names if not rules.match(name)]
    ends = {_end(rule.key.text) for rule in rules.rules}
    return strays, sum(1 for name in names if _end(name) in ends), len(names)


def _end(name: str) -> str:
    """The last word that is no `weight` or `bias`, with what stands before it."""
    parts = [part for part in name.split(".") if part not in ("weight", "bias", "{p}")]
    return ".".join(parts[-2:])
