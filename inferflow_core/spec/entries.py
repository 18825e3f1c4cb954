"""The plugins that a spec names: fetched from the catalog once each, their trouble reported."""

from dataclasses import dataclass
from typing import Any

from inferflow_core.block import Block
from inferflow_core.catalog import Catalog
from inferflow_core.errors import PluginError, nearest
from inferflow_core.spec.field_types import Either, Field, Named, Type, article, describe, fields_of
from inferflow_core.spec.names_files import NamesFile
from inferflow_core.spec.nodes import Leaf, Node, Section, join
from inferflow_core.spec.problems import Problems, keys_of

BLOCK_KINDS = frozenset(
    ("norm", "position", "mixer", "ffn", "router", "layer", "embedding", "head", "model")
)


@dataclass(frozen=True)
class Entry:
    """A plugin's class and fields; `name` is empty for a record."""

    name: str
    cls: type[Any]
    fields: dict[str, Field]

    @property
    def title(self) -> str:
        return self.name or self.cls.__name__.lower()


class Entries:
    def __init__(self, catalog: Catalog, problems: Problems) -> None:
        self._catalog = catalog
        self._problems = problems
        self._known: dict[tuple[str, str], Entry | str] = {}

    def of(self, kind: str, section: Section, slot: str) -> Entry | None:
        """The entry that a table names with `use`, or None when that is a problem (reported).

        `slot` is where the entry is wanted. A table that a reference brought there is blamed only
        for what has not been said of it where it is written.
        """
        use = section.get("use")
        at = join(section.at, "use")
        if use is None:
            names = self._catalog.names(kind)
            have = f" (have: {', '.join(names)})" if 0 < len(names) <= 12 else ""
            known = f"a table without `use`; {article(kind)} is wanted{have}"
            at = section.at
        elif not isinstance(use, Leaf) or not isinstance(use.value, str) or "${" in use.value:
            known = "`use` is always a literal name"
        else:
            if (kind, use.value) not in self._known:
                self._known[kind, use.value] = self._load(kind, use.value)
            known = self._known[kind, use.value]
        if isinstance(known, Entry):
            return known
        if slot == section.at or section.at.startswith(f"{slot}."):
            self._problems.add(at, known)
        elif not self._problems.has(at, known):
            self._problems.add(slot, known)
        return None

    def _load(self, kind: str, name: str) -> Entry | str:
        try:
            cls = self._catalog.get(kind, name)
        except PluginError as error:
            return _words(error)
        if not isinstance(cls, type):
            return f"{kind} {name!r} is broken: a spec can only use a dataclass"
        if kind in BLOCK_KINDS and not (
            issubclass(cls, Block) and getattr(cls, "kind", "") == kind
        ):
            return f"{kind} {name!r} is broken: {cls.__name__} is no subclass for this kind"
        try:
            return Entry(name, cls, fields_of(cls))
        except Exception as error:  # annotations and default factories are the plugin's code
            return f"{kind} {name!r} is broken: {error}"

    def named(self, kind: Type, value: object) -> str:
        """What is wrong with a text where the type wants an entry's name. Imports nothing."""
        options = kind.options if isinstance(kind, Either) else (kind,)
        wanted = next((option for option in options if isinstance(option, Named)), None)
        if wanted is None or not isinstance(value, str) or (wanted.auto and value == "auto"):
            return ""
        if wanted.kind == "names" and isinstance(value, NamesFile):
            return ""
        try:
            self._catalog.entry(wanted.kind, value)
        except PluginError as error:
            return _words(error)
        return ""

    def unknown_keys(self, entry: Entry, section: Section) -> None:
        """Reports every key that the entry has no field for."""
        keys = [key for item in entry.fields.values() for key in item.keys]
        for key, node in section.items.items():
            if key in keys or (key == "use" and entry.name):
                continue
            message = f"unknown key of {entry.title}.{nearest(key, keys)} (keys: {keys_of(keys)})"
            self._problems.add(node.at, message)

    def missing(
        self, entry: Entry, item: Field, section: Section, key: str, note: str = ""
    ) -> None:
        """Reports a key that has no default and no value."""
        what = describe(item.type) if key == item.name else "needed by the stack"
        message = f"missing key of {entry.title}: {what}{note}"
        self._problems.add(join(section.at, key), message)


def record(cls: type[Any]) -> Entry:
    return Entry("", cls, fields_of(cls))


def absent_note(node: Node | None) -> str:
    """Why a written key has no value."""
    if isinstance(node, Leaf):
        return f"; {node.value} is absent here"
    return "" if node is None else "; its value is absent here"


def _words(error: PluginError) -> str:
    return error.message if error.hint is None else f"{error.message}; {error.hint}"
