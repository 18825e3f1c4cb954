"""What can be said of a spec without a checkpoint: names and keys in all branches, literal values.

It walks the tables as they are written, each by the type of the field that it stands in. What a
reference will bring is not known here; where it leads is.
"""

from collections.abc import Iterable

from inferflow_core.catalog import Catalog
from inferflow_core.errors import nearest
from inferflow_core.spec.convert import Mismatch, convert
from inferflow_core.spec.entries import Entries, Entry, record
from inferflow_core.spec.field_types import (
    TABLES,
    Data,
    DictOf,
    Either,
    ListOf,
    Plugin,
    Record,
    Scalar,
    Template,
    Type,
    describe,
    fitting,
)
from inferflow_core.spec.forms import case_parts, function_operands, layer_question
from inferflow_core.spec.merge import Spec
from inferflow_core.spec.nodes import CASE_KEYS, Array, Leaf, Node, Patched, Section
from inferflow_core.spec.problems import Problems, Wrong, keys_of
from inferflow_core.spec.references import reference_in
from inferflow_core.spec.tables import TABLE_TYPES

NUMBER = Scalar("float")
Slot = Type | None
"""None: any value; only references, cases and functions are checked."""


def check(spec: Spec, catalog: Catalog) -> None:
    """Raises SpecError with every problem that no checkpoint can mend."""
    problems = Problems()
    check_tables(spec.root, catalog, problems)
    problems.raise_if_any(spec.label)


def check_tables(root: Section, catalog: Catalog, problems: Problems) -> None:
    """The same, into a collector."""
    checker = _Checker(root, catalog, problems)
    config = root.get("config")
    if isinstance(config, Section):
        for node in config.items.values():
            checker.slot(None, node)
    for name, kind in TABLE_TYPES.items():
        node = root.get(name)
        if node is not None:
            checker.slot(kind, node)
        elif name in ("model", "weights"):
            problems.add(name, f"missing: every spec has a table [{name}]")


class _Checker:
    def __init__(self, root: Section, catalog: Catalog, problems: Problems) -> None:
        self._root = root
        self._problems = problems
        self._entries = Entries(catalog, problems)

    def slot(self, kind: Slot, node: Node) -> None:
        try:
            self._slot(kind, node)
        except Mismatch as mismatch:
            self._problems.add(node.at, str(mismatch))
        except Wrong as wrong:
            self._problems.add(wrong.at, wrong.message)

    def _slot(self, kind: Slot, node: Node) -> None:
        match node:
            case Leaf():
                self._leaf(kind, node)
            case Patched():
                self.slot(None if isinstance(kind, Plugin | Record) else kind, node.base)
            case Section() if node.is_case:
                question, of, otherwise = case_parts(node)
                if isinstance(question, Section) and layer_question(question):
                    self._all(None, question.items.values())
                else:
                    self.slot(None, question)
                self._all(kind, of.values())
                self._all(kind, [] if otherwise is None else [otherwise])
            case Section() if node.function:
                self._all(NUMBER, function_operands(node, node.function))
            case Section():
                self._section(kind, node)
            case Array():
                listed = fitting((kind,), (ListOf, Either)) if kind else None
                if isinstance(listed, Either):
                    listed = fitting(listed.options, (ListOf,))
                if kind is not None and not isinstance(kind, Data) and listed is None:
                    raise Mismatch(f"expected {describe(kind)}, found a list")
                self._all(listed.of if isinstance(listed, ListOf) else None, node.items)
            case _:
                pass

    def _all(self, kind: Slot, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self.slot(kind, node)

    def _leaf(self, kind: Slot, leaf: Leaf) -> None:
        reference = reference_in(leaf)
        if reference is None:
            if kind is not None:
                value = convert(kind, leaf.value)
                if trouble := self._entries.named(kind, value):
                    raise Wrong(leaf.at, trouble)
        elif reference.path.startswith("model.") and not reference.optional:
            self._target(reference.parts, leaf)

    def _target(self, path: list[str], leaf: Leaf) -> None:
        """Follows a reference as far as tables are written out."""
        place: Node | None = self._root
        for depth, part in enumerate(path):
            if not isinstance(place, Section) or (place.is_case and part not in CASE_KEYS):
                return
            if part not in place.items:
                where, close = ".".join(path[:depth]), nearest(part, place.items)
                keys = keys_of(place.items)
                raise Wrong(leaf.at, f"{where} has no key {part!r}.{close} (keys: {keys})")
            place = place.items[part]

    def _section(self, kind: Slot, section: Section) -> None:
        if isinstance(kind, Either):
            kind = fitting(kind.options, TABLES) or kind
        match kind:
            case Plugin(name):
                entry = self._entries.of(name, section, section.at)
                if entry is not None:
                    self._keys(entry, section)
            case Record(cls):
                self._keys(record(cls), section)
            case DictOf(of):
                if "use" in section.items:
                    raise Mismatch("expected a table of named entries, found a table with `use`")
                self._all(of, section.items.values())
            case Data() | None:
                self._all(None, section.items.values())
            case _:
                raise Mismatch(f"expected {describe(kind)}, found a table")

    def _keys(self, entry: Entry, section: Section) -> None:
        self._entries.unknown_keys(entry, section)
        for item in entry.fields.values():
            if isinstance(item.type, Template):
                kinds = {item.type.count: Scalar("int"), item.type.key: item.type.of}
            else:
                kinds = {item.name: item.type}
            for key, kind in kinds.items():
                node = section.get(key)
                if node is not None:
                    self.slot(kind, node)
                elif item.required:
                    self._entries.missing(entry, item, section, key)
