"""JSON Schema of the spec language, made from what is installed.

Every type of a field is a definition: the forms of its values, a reference, a `case` between such
values, and for numbers the four functions. A table of a plugin kind is one of its entries, whole,
or the keys that a child changes in its parent's table, without `use`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from inferflow_core.block import ACTIVATIONS
from inferflow_core.catalog import Catalog
from inferflow_core.errors import PluginError
from inferflow_core.spec.field_types import (
    Data,
    DictOf,
    Either,
    Field,
    ListOf,
    Named,
    Plugin,
    Record,
    Scalar,
    Template,
    Type,
    Words,
    fields_of,
)
from inferflow_core.spec.nodes import FUNCTIONS
from inferflow_core.spec.reader import LARGEST_INT, VERSION
from inferflow_core.spec.tables import TABLE_TYPES
from inferflow_server.cli.field_docs import field_docs

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCE = r"^\$\{(none|weights\.source|(config|model)\.[^{}]+)\??\}$"
NUMBER = Scalar("float")

Schema = dict[str, Any]


def schema(catalog: Catalog, note: Callable[[str], None]) -> Schema:
    """A schema (2020-12) of spec files. Imports the plugins that a spec may name, each for itself;
    one that is broken is left out, and `note` gets a line that says why."""
    writer = _Writer(catalog, note)
    tables = {name: writer.slot(kind) for name, kind in TABLE_TYPES.items()}
    header = {
        "spec": {"const": VERSION, "description": "The version of the language."},
        "name": {"type": "string", "minLength": 1, "description": "Absent: the file's name."},
        "extends": {"enum": catalog.names("spec"), "description": "The spec that this changes."},
        "match": {"type": "array", "items": _match(), "description": "Checkpoints of a family."},
        "config": {"type": "object", "description": "What the checkpoint's numbers lack."},
    }
    own = {name: {"type": "object", "allOf": [slot]} for name, slot in tables.items()}
    return {
        "$schema": DIALECT,
        "title": f"Inferflow spec {VERSION}",
        "type": "object",
        "properties": header | own,
        "required": ["spec"],
        "anyOf": [{"required": ["extends"]}, {"required": ["model", "weights"]}],
        "additionalProperties": False,
        "$defs": dict(sorted(writer.definitions.items())),
    }


class _Writer:
    def __init__(self, catalog: Catalog, note: Callable[[str], None]) -> None:
        self._catalog = catalog
        self._note = note
        self.definitions: dict[str, Schema] = {
            "reference": {"type": "string", "pattern": REFERENCE},
            "function": self._function(),
            "question": self._question(),
        }

    def slot(self, kind: Type) -> Schema:
        """A reference to the definition of a type, which is written if it is not yet."""
        name = _label(kind)
        if name not in self.definitions:
            self.definitions[name] = {}  # a kind may be inside of itself
            forms = [*self._forms(kind), _to("reference"), self._case(name)]
            forms += [_to("function")] if _is_number(kind) else []
            self.definitions[name] = {"anyOf": forms}
        return _to(name)

    def _forms(self, kind: Type) -> Iterable[Schema]:
        match kind:
            case Scalar("int"):
                yield {"type": "integer", "minimum": -LARGEST_INT, "maximum": LARGEST_INT}
            case Scalar("float"):
                yield {"type": "number"}
            case Scalar("bool"):
                yield {"type": "boolean"}
            case Scalar("act"):
                yield {"enum": list(ACTIVATIONS)}
            case Scalar():
                yield {"type": "string", "not": {"pattern": r"\$\{"}}
            case Words(words):
                yield {"enum": list(words)}
            case Named(name, auto):
                yield {"enum": ["auto"] * auto + self._catalog.names(name)}
                if name == "names":
                    yield {"type": "string", "pattern": r"^\./.*\.toml$"}
            case Data():
                yield {"type": "object", "not": {"required": ["case"]}}
            case DictOf(of):
                yield {
                    "type": "object",
                    "properties": {"use": False, "case": False},
                    "additionalProperties": self.slot(of),
                }
            case ListOf(of):
                yield {"type": "array", "items": self.slot(of)}
            case Either(options):
                for option in options:
                    yield from self._forms(option)
            case Record(cls):
                yield _table(self._properties(cls, fields_of(cls).values()), cls)
            case Plugin(name):
                yield from self._entries(name)

    def _entries(self, kind: str) -> Iterable[Schema]:
        """Each entry of a kind with `use`, and any of their keys without."""
        keys: dict[str, Schema] = {}
        for name in self._catalog.names(kind):
            fields = self._fields(kind, name)
            if fields is None:
                continue
            cls = self._catalog.get(kind, name)
            properties = self._properties(cls, fields.values())
            required = [key for each in fields.values() if each.required for key in each.keys]
            label = f"{kind}.{name}"
            use = {"use": {"const": name}}
            self.definitions[label] = _table(use | properties, cls, ["use", *required])
            for key, value in properties.items():
                keys.setdefault(key, {"anyOf": []})["anyOf"].append(value)
            yield _to(label)
        yield {"type": "object", "properties": keys, "additionalProperties": False}

    def _fields(self, kind: str, name: str) -> Mapping[str, Field] | None:
        """The fields of an entry; None, and a note, where a spec cannot use it."""
        try:
            return fields_of(self._catalog.get(kind, name))
        except (PluginError, TypeError) as error:
            reason = str(error).partition("\n")[0]
        except (Exception, SystemExit) as error:  # annotations and defaults are the plugin's code
            reason = f"{type(error).__name__}: {error}"
        self._note(f"left out: {kind} {name!r}: {reason}")
        return None

    def _properties(self, cls: type, fields: Iterable[Field]) -> dict[str, Schema]:
        meanings = field_docs(cls)
        found: dict[str, Schema] = {}
        for field in fields:
            if isinstance(field.type, Template):
                kinds = {field.type.count: Scalar("int"), field.type.key: field.type.of}
            else:
                kinds = {field.name: field.type}
            for key, kind in kinds.items():
                text = meanings.get(field.name, "")
                found[key] = self.slot(kind) | ({"description": text} if text else {})
                if isinstance(field.default, bool | int | float | str):
                    found[key]["default"] = field.default
        return found

    def _case(self, name: str) -> Schema:
        return {
            "type": "object",
            "properties": {
                "case": _to("question"),
                "of": {"type": "object", "additionalProperties": _to(name)},
                "else": _to(name),
            },
            "required": ["case"],
            "anyOf": [{"required": ["of"]}, {"required": ["else"]}],
            "additionalProperties": False,
        }

    @staticmethod
    def _question() -> Schema:
        """What a case asks: a value, a list by layer, or about the layer's index."""
        number, anything = _to(_label(NUMBER)), _to("question")
        listed = {"type": "array", "items": number}
        return {
            "anyOf": [
                {"type": ["string", "number", "boolean", "array"]},
                _only({"first": number}, ["first"]),
                _only({"every": number, "from": number}, ["every"]),
                _only({"among": {"anyOf": [listed, _to("reference")]}}, ["among"]),
                _only(
                    {"case": anything, "of": {"type": "object"}, "else": anything},
                    ["case"],
                ),
                _to("function"),
            ]
        }

    @staticmethod
    def _function() -> Schema:
        number = _to(_label(NUMBER))
        operands: dict[str, Schema] = {
            name: number
            if count == 1
            else {"type": "array", "items": number, "minItems": count, "maxItems": count}
            for name, count in FUNCTIONS.items()
        }
        return _only(operands, []) | {"minProperties": 1, "maxProperties": 1}


def _match() -> Schema:
    value: Schema = {"type": ["string", "number", "boolean"], "not": {"pattern": r"\$\{"}}
    accepted = {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}]}
    return {"type": "object", "minProperties": 1, "additionalProperties": accepted}


def _table(properties: dict[str, Schema], cls: type, required: Iterable[str] = ()) -> Schema:
    text = (cls.__doc__ or "").strip().partition("\n\n")[0]
    return _only(properties, [*required]) | {"description": " ".join(text.split())}


def _only(properties: dict[str, Schema], required: list[str]) -> Schema:
    """A table of these keys."""
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _to(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _is_number(kind: Type) -> bool:
    if isinstance(kind, Either):
        return any(map(_is_number, kind.options))
    return kind in (Scalar("int"), NUMBER)


def _label(kind: Type) -> str:
    """A name for the definition of a type."""
    match kind:
        case Scalar(name) | Plugin(name):
            label = name
        case Words(words):
            label = "_or_".join(words)
        case Named(name, auto):
            label = f"name_of_{name}" + "_or_auto" * auto
        case Record(cls):
            label = f"table_{cls.__name__}"
        case DictOf(of):
            label = f"named_{_label(of)}"
        case ListOf(of):
            label = f"list_of_{_label(of)}"
        case Either(options):
            label = "_or_".join(map(_label, options))
        case Data():
            label = "data"
    return re.sub(r"[^\w.-]", "_", label)
