"""`extends`: a chain of at most four files becomes one set of tables."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import cast

from inferflow_core.catalog import Catalog
from inferflow_core.errors import PluginError, Problem, SpecError
from inferflow_core.spec.names_files import with_names_files
from inferflow_core.spec.nodes import CASE_KEYS, Array, Node, Patched, Section
from inferflow_core.spec.problems import one_line
from inferflow_core.spec.reader import MAX_BYTES, SpecFile, read_text

MAX_CHAIN = 4


@dataclass(frozen=True)
class Spec:
    """A spec with its parents merged in; references are still as written.

    `label` is what errors call it, `chain` the labels of its files, the spec's own first.
    """

    name: str
    label: str
    root: Section
    chain: tuple[str, ...]


def read_spec(reference: str | Path, catalog: Catalog) -> Spec:
    """A predefined spec by its name (str) or a spec file (Path). Raises SpecError, and
    PluginError where no spec has that name."""
    if isinstance(reference, Path):
        file = _read_file(reference, str(reference))
        root = with_names_files(file.root, reference.parent, file.label)
        return _merged(replace(file, root=root), reference.stem, catalog)
    return _merged(read_entry(reference, catalog), reference, catalog)


def parse_spec(text: str, catalog: Catalog, *, label: str = "spec") -> Spec:
    """A spec from its TOML text. Raises SpecError."""
    return _merged(read_text(text, label), label, catalog)


def read_entry(name: str, catalog: Catalog) -> SpecFile:
    """The file of a predefined spec, without its parents."""
    return _read_file(catalog.get("spec", name), name)


def _read_file(file: Path | Traversable, label: str) -> SpecFile:
    try:
        with file.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1).decode("utf-8")
    except (OSError, ValueError) as error:
        raise SpecError(label, [Problem("file", one_line(f"cannot be read: {error}"))]) from error
    return read_text(text, label)


def _merged(file: SpecFile, fallback: str, catalog: Catalog) -> Spec:
    files = [file]
    while (parent := files[-1].extends) is not None:
        labels = [one.label for one in files]
        chain = " -> ".join([*labels, parent])
        if parent in labels:
            raise SpecError(file.label, [Problem("extends", f"a circle: {chain}")])
        if len(files) == MAX_CHAIN:
            raise SpecError(
                file.label, [Problem("extends", f"more than {MAX_CHAIN} files: {chain}")]
            )
        try:
            files.append(read_entry(parent, catalog))
        except PluginError as error:
            raise SpecError(
                files[-1].label, [Problem("extends", one_line(error.message))], hint=error.hint
            ) from error
    root = files[-1].root
    for child in reversed(files[:-1]):
        root = merge_root(root, child.root)
    return Spec(file.name or fallback, file.label, root, tuple(one.label for one in files))


def merge_root(parent: Section, child: Section) -> Section:
    """The child's top-level tables over the parent's.

    `config` and `weights` always merge key by key: they are no plugins. A `use` in `weights` names
    the loader, and a model file that gives one keeps its family's `names`.
    """
    items = dict(parent.items)
    for key, node in child.items.items():
        old = items.get(key)
        if key in ("config", "weights") and isinstance(old, Section) and isinstance(node, Section):
            items[key] = Section(_merge_items(old.items, node.items), old.at, node.origin)
        else:
            items[key] = merge(old, node)
    return Section(items, parent.at, child.origin)


def merge(parent: Node | None, child: Node) -> Node:
    """Tables merge key by key, all else replaces; so does a child's table with `use` or `case`,
    a parent's table with `case`, and a function on either side, which is a value."""
    if not isinstance(parent, Section) or not isinstance(child, Section):
        return child
    if "use" in child.items or child.is_case or parent.is_case:
        return child
    if child.function or parent.function:
        return child
    return Section(_merge_items(parent.items, child.items), child.at, child.origin)


def lay(base: Node | None, patch: Node) -> Node:
    """A patch over a node, key by key. Over a case or a reference it waits until that is known;
    a table with `use` or `case`, a function and all that is no table replaces what was there."""
    if not isinstance(patch, Section) or patch.function or patch.is_case or "use" in patch.items:
        return patch
    of_case = all(key in CASE_KEYS for key in patch.items)
    if isinstance(base, Section) and not base.function and (of_case or not base.is_case):
        laid = {key: lay(base.get(key), item) for key, item in patch.items.items()}
        return Section({**base.items, **laid}, base.at, base.origin)
    if isinstance(base, Patched):
        if of_case:
            return Patched(lay(base.base, patch), base.patch)
        return Patched(base.base, cast("Section", lay(base.patch, patch)))
    return patch if base is None or isinstance(base, Array) else Patched(base, patch)


def _merge_items(parent: Mapping[str, Node], child: Mapping[str, Node]) -> dict[str, Node]:
    return {
        key: merge(parent.get(key), child[key]) if key in child else parent[key]
        for key in _ordered(parent, child)
    }


def _ordered(parent: Iterable[str], child: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*parent, *child]))
