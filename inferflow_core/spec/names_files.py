"""Name maps that stand beside a spec file: `[weights] names = "./mine.toml"`.

Only what is written out in a file that the user named counts: neither a predefined spec, nor an
override, nor a value that a reference brings from a checkpoint can make a file be read.
"""

from collections.abc import Callable
from importlib.resources.abc import Traversable
from pathlib import Path

from inferflow_core.catalog import Catalog
from inferflow_core.spec.nodes import Leaf, Node, Section
from inferflow_core.spec.problems import Problems

BESIDE = "./"
"""How the path of a map begins, which no entry's name does."""


class NamesFile(str):
    """A path as a spec file says it; `file` is what it means."""

    file: Path

    @property
    def map_name(self) -> str:
        """What the map must call itself."""
        return self.file.stem


def find_names(catalog: Catalog) -> Callable[[str], Traversable]:
    """The file of a name map, for `read_names`: one beside the spec, or an entry of the catalog."""
    return lambda name: name.file if isinstance(name, NamesFile) else catalog.get("names", name)


def with_names_files(root: Section, folder: Path, label: str) -> Section:
    """The tables of a spec file in `folder`, its name maps found. Raises SpecError for a path that
    leads out of the folder, to no file, or to no TOML."""
    weights = root.get("weights")
    names = weights.get("names") if isinstance(weights, Section) else None
    if not isinstance(weights, Section) or names is None:
        return root
    problems = Problems()
    found = _found(names, folder, problems)
    problems.raise_if_any(label)
    changed = Section({**weights.items, "names": found}, weights.at, weights.origin)
    return Section({**root.items, "weights": changed}, root.at, root.origin)


def _found(node: Node, folder: Path, problems: Problems) -> Node:
    if isinstance(node, Section):
        items = {key: _found(item, folder, problems) for key, item in node.items.items()}
        return Section(items, node.at, node.origin)
    if not isinstance(node, Leaf) or not isinstance(node.value, str):
        return node
    if not node.value.startswith((BESIDE, "../", "/")):
        return node
    path = NamesFile(node.value)
    path.file = folder / node.value
    trouble = _trouble(path, folder)
    if trouble:
        problems.add(node.at, trouble)
    return Leaf(path, node.at, node.origin)


def _trouble(path: NamesFile, folder: Path) -> str:
    if not path.startswith(BESIDE) or not path.file.resolve().is_relative_to(folder.resolve()):
        return f"{str(path)!r} is not below the spec's folder: a name map stands beside its spec"
    if path.file.suffix != ".toml":
        return f"{str(path)!r} is no TOML file"
    if not path.file.is_file():
        there = ", ".join(sorted(each.name for each in path.file.parent.glob("*.toml"))[:8])
        return f"{str(path)!r} is not there: {path.file} (TOML files there: {there or 'none'})"
    return ""
