"""Evaluated tables -> frozen blocks, and beside each the table with every default filled in."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple, cast

from inferflow_core.catalog import Catalog
from inferflow_core.errors import InferflowError
from inferflow_core.spec.convert import Mismatch, convert, plain
from inferflow_core.spec.entries import Entries, Entry, absent_note, record
from inferflow_core.spec.field_types import (
    TABLES,
    Data,
    DictOf,
    Either,
    Field,
    ListOf,
    Plugin,
    Record,
    Scalar,
    Template,
    Type,
    describe,
    fitting,
)
from inferflow_core.spec.nodes import Array, Datum, Layers, Node, Section, Value, join
from inferflow_core.spec.problems import Problems, Wrong, one_line
from inferflow_core.spec.values import LayerIndex, Values
from inferflow_core.table import Table

MAX_LAYERS = 4096
MAX_NESTED = 32


class Built(NamedTuple):
    """A field's value, and the filled table or value that shows it."""

    value: Any
    filled: Node


class Nothing(Enum):
    ABSENT = "absent"
    FAILED = "failed"


Result = Built | Nothing


class Builder:
    """Builds the objects of a spec. Problems are collected, never raised; a slot that has one is
    FAILED and so is all that contains it."""

    def __init__(self, values: Values, catalog: Catalog, problems: Problems) -> None:
        self._values = values
        self._problems = problems
        self._entries = Entries(catalog, problems)
        self._open: list[str] = []

    def build(self, kind: Type, node: Node | None, layer: LayerIndex | None = None) -> Result:
        """The value of a slot of the given type."""
        if node is None:
            return Nothing.ABSENT
        try:
            value = self._values.value(node, layer)
            if value is None:
                return Nothing.ABSENT
            return self._typed(kind, value, layer, node.at)
        except Mismatch as mismatch:
            self._problems.add(node.at, str(mismatch))
        except Wrong as wrong:
            self._problems.add(wrong.at, wrong.message)
        return Nothing.FAILED

    def _typed(
        self, kind: Type, value: Array | Datum | Section, layer: LayerIndex | None, slot: str
    ) -> Result:
        match kind:
            case Either(options) if (option := fitting(options, _forms(value))) is not None:
                return self._typed(option, value, layer, slot)
            case Plugin(name) if isinstance(value, Section):
                entry = self._entries.of(name, value, slot)
                return Nothing.FAILED if entry is None else self.table(entry, value, layer)
            case Record(cls) if isinstance(value, Section):
                return self.table(record(cls), value, layer)
            case DictOf(of) if isinstance(value, Section):
                return self._dict(of, value, layer)
            case ListOf(of) if isinstance(value, Array):
                return self._list(of, value, value.items, layer)
            case ListOf(of) if isinstance(value, Datum) and isinstance(value.value, list):
                return self._list(of, value, _entries_of(value), layer)
            case Data() if isinstance(value, Section):
                return self._data(value, layer)
            case Data() if isinstance(value, Datum) and _is_mapping(value.value):
                table = Table(plain(value.value))
                return Built(table, Datum(table, value.at, value.origin))
            case _ if isinstance(value, Datum):
                return self._scalar(kind, value)
            case _:
                what = "a table" if isinstance(value, Section) else "a list"
                raise Mismatch(f"expected {describe(kind)}, found {what}")

    def _scalar(self, kind: Type, datum: Datum) -> Built:
        value = convert(kind, datum.value)
        trouble = self._entries.named(kind, value)
        if trouble:
            raise Wrong(datum.at, trouble)
        return Built(value, Datum(value, datum.at, datum.origin))

    def table(self, entry: Entry, section: Section, layer: LayerIndex | None) -> Result:
        """An object of the entry's class from a table of its fields."""
        if section.at in self._open:
            circle = " -> ".join([*self._open[self._open.index(section.at) :], section.at])
            raise Wrong(section.at, f"a table inside of itself: {circle}")
        if len(self._open) >= MAX_NESTED:
            raise Wrong(section.at, f"blocks nested deeper than {MAX_NESTED}")
        self._open.append(section.at)
        try:
            return self._fields(entry, section, layer)
        finally:
            self._open.pop()

    def _fields(self, entry: Entry, section: Section, layer: LayerIndex | None) -> Result:
        self._entries.unknown_keys(entry, section)
        arguments: dict[str, Any] = {}
        filled: dict[str, Node] = {}
        if entry.name:
            filled["use"] = Datum(entry.name, section.at, section.items["use"].origin)
        failed = False
        for item in entry.fields.values():
            if isinstance(item.type, Template):
                failed |= not self._layers(entry, item, item.type, section, arguments, filled)
                continue
            node = section.get(item.name)
            result = self.build(item.type, node, layer)
            if isinstance(result, Built):
                arguments[item.name], filled[item.name] = result
            elif result is Nothing.FAILED:
                failed = True
            elif item.required:
                self._entries.missing(entry, item, section, item.name, absent_note(node))
                failed = True
            else:
                filled[item.name] = Datum(item.default, section.at, "default")
        if failed:
            return Nothing.FAILED
        return self._construct(entry, section, arguments, filled)

    def _construct(
        self, entry: Entry, section: Section, arguments: dict[str, Any], filled: dict[str, Node]
    ) -> Result:
        make = cast("Callable[..., Any]", entry.cls)
        try:
            value = make(**arguments)
        except Exception as error:  # a plugin's own check may raise whatever it likes
            told = isinstance(error, ValueError | InferflowError)
            kind = "" if told else f"{type(error).__name__}: "
            self._problems.add(section.at, one_line(f"{entry.title}: {kind}{error}"))
            return Nothing.FAILED
        return Built(value, Section(filled, section.at, section.origin))

    def _layers(
        self,
        entry: Entry,
        item: Field,
        template: Template,
        section: Section,
        arguments: dict[str, Any],
        filled: dict[str, Node],
    ) -> bool:
        """`depth` times the template. A wrong depth still has the template checked, once."""
        counted = self.build(Scalar("int"), section.get(template.count))
        if counted is Nothing.ABSENT:
            note = absent_note(section.get(template.count))
            self._entries.missing(entry, item, section, template.count, note)
        depth = counted.value if isinstance(counted, Built) else 0
        if isinstance(counted, Built) and not 1 <= depth <= MAX_LAYERS:
            at = join(section.at, template.count)
            self._problems.add(at, f"expected 1 to {MAX_LAYERS} layers, found {depth}")
            depth = 0
        node = section.get(template.key)
        built: list[Built] = []
        for index in range(max(depth, 1)):
            layer = LayerIndex(index)
            result = self.build(template.of, node, layer)
            if result is Nothing.ABSENT:
                self._entries.missing(entry, item, section, template.key, absent_note(node))
            if not isinstance(result, Built):
                return False
            built.append(result)
            if not layer.asked:
                built *= depth
                break
        if depth == 0:
            return False
        arguments[item.name] = tuple(one.value for one in built)
        filled[template.count] = cast("Built", counted).filled
        sections = tuple(cast("Section", one.filled) for one in built)
        filled[template.key] = Layers(sections, join(section.at, template.key), section.origin)
        return True

    def _dict(self, of: Type, section: Section, layer: LayerIndex | None) -> Result:
        if "use" in section.items:
            raise Mismatch("expected a table of named entries, found a table with `use`")
        results = {key: self.build(of, node, layer) for key, node in section.items.items()}
        if Nothing.FAILED in results.values():
            return Nothing.FAILED
        built = {key: one for key, one in results.items() if isinstance(one, Built)}
        filled = Section(
            {key: one.filled for key, one in built.items()}, section.at, section.origin
        )
        return Built(Table({key: one.value for key, one in built.items()}), filled)

    def _list(
        self, of: Type, value: Array | Datum, items: tuple[Node, ...], layer: LayerIndex | None
    ) -> Result:
        results = [self.build(of, node, layer) for node in items]
        if Nothing.FAILED in results:
            return Nothing.FAILED
        built = [one for one in results if isinstance(one, Built)]
        filled = Array(tuple(one.filled for one in built), value.at, value.origin)
        return Built(tuple(one.value for one in built), filled)

    def _data(self, section: Section, layer: LayerIndex | None) -> Built:
        table = Table(cast("Mapping[str, Any]", self._plain(section, layer)))
        return Built(table, Datum(table, section.at, section.origin))

    def _plain(self, node: Node, layer: LayerIndex | None, depth: int = 0) -> Any:
        if depth > MAX_NESTED:
            raise Wrong(node.at, f"nested deeper than {MAX_NESTED} levels")
        value: Value = self._values.value(node, layer)
        if isinstance(value, Section):
            items = {k: self._plain(v, layer, depth + 1) for k, v in value.items.items()}
            return {key: item for key, item in items.items() if item is not None}
        if isinstance(value, Array):
            items = [self._plain(item, layer, depth + 1) for item in value.items]
            return [item for item in items if item is not None]
        return None if value is None else plain(value.value)


def _forms(value: Array | Datum | Section) -> tuple[type[Any], ...]:
    """The types that a table or a list may fill; none for scalars, which try each in turn."""
    if isinstance(value, Section):
        return TABLES
    if isinstance(value, Array) or isinstance(value.value, list):
        return (ListOf,)
    return (Data,) if _is_mapping(value.value) else ()


def _entries_of(datum: Datum) -> tuple[Datum, ...]:
    """The entries of a checkpoint's list; nulls are absent."""
    values = cast("list[Any]", datum.value)
    return tuple(Datum(v, datum.at, datum.origin) for v in values if v is not None)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)
