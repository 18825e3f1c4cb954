"""The closed set of types that a field of a plugin may have, read from its annotations."""

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, cast, get_args, get_origin

from inferflow_core.catalog import GROUPS
from inferflow_core.table import Table


@dataclass(frozen=True)
class Scalar:
    """`bool`, `int`, `float`, `str` or `act`."""

    name: str


@dataclass(frozen=True)
class Words:
    """One of several words."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Named:
    """The name of an entry of a kind, not a table; or `auto` where that is allowed."""

    kind: str
    auto: bool = False


@dataclass(frozen=True)
class Data:
    """A table of data, the checkpoint's own or written out."""


@dataclass(frozen=True)
class Plugin:
    """A table with `use` that names an entry of the kind."""

    kind: str


@dataclass(frozen=True)
class Record:
    """A table without `use`, whose keys are the fields of one class."""

    cls: type[Any]


@dataclass(frozen=True)
class DictOf:
    of: "Type"


@dataclass(frozen=True)
class ListOf:
    of: "Type"


@dataclass(frozen=True)
class Either:
    options: "tuple[Type, ...]"


TABLES = (Plugin, Record, DictOf, Data)
"""The types that a table fills."""

Type = Scalar | Words | Named | Data | Plugin | Record | DictOf | ListOf | Either


@dataclass(frozen=True)
class Template:
    """`count` times the template `key` (`depth` and `layer`) becomes the field's tuple."""

    key: str
    count: str
    of: Type


@dataclass(frozen=True)
class Field:
    """A field of a plugin; `default` counts where it is not `required`."""

    name: str
    type: Type | Template
    required: bool
    default: Any = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of a spec that fill this field."""
        if isinstance(self.type, Template):
            return (self.type.count, self.type.key)
        return (self.name,)


@cache
def fields_of(cls: type[Any]) -> dict[str, Field]:
    """Field name -> Field, of a dataclass. Raises TypeError where a spec cannot fill one."""
    if not is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is not a dataclass")
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise TypeError(f"an annotation of {cls.__name__} cannot be read: {error}") from error
    found: dict[str, Field] = {}
    for item in fields(cls):
        if not item.init:
            continue
        kind = _type(hints[item.name], f"{cls.__name__}.{item.name}")
        if "template" in item.metadata:
            if not isinstance(kind, ListOf):
                raise TypeError(f"{cls.__name__}.{item.name}: a template fills a tuple[X, ...]")
            kind = Template(item.metadata["template"], item.metadata["count"], kind.of)
        default = item.default
        if item.default_factory is not MISSING:
            default = item.default_factory()
        required = default is MISSING
        found[item.name] = Field(item.name, kind, required, None if required else default)
    return found


def _type(hint: Any, where: str) -> Type:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        for extra in arguments[1:]:
            if isinstance(extra, Type):
                return extra
            if extra == "act":
                return Scalar("act")
        return _type(arguments[0], where)
    if hint in (bool, int, float, str):
        return Scalar(hint.__name__)
    if origin is Literal and all(isinstance(word, str) for word in arguments):
        return Words(arguments)
    if origin in (typing.Union, types.UnionType):
        options = tuple(_type(a, where) for a in arguments if a is not types.NoneType)
        return options[0] if len(options) == 1 else Either(options)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return ListOf(_type(arguments[0], where))
    if origin in (Mapping, dict) and arguments[0] is str:
        return DictOf(_type(arguments[1], where))
    if hint is Table:
        return Data()
    if isinstance(hint, type):
        cls = cast("type[Any]", hint)
        if getattr(cls, "kind", None) in GROUPS:
            return Plugin(cls.kind)
        if is_dataclass(hint):
            return Record(cls)
    raise TypeError(f"{where}: no spec can fill a field of type {hint}")


def fitting(options: tuple[Type, ...], forms: tuple[type[Any], ...]) -> Type | None:
    """Of several types the first that has one of the forms."""
    return next((option for option in options if isinstance(option, forms)), None)


def describe(kind: Type | Template) -> str:
    """A type in the words of an error message."""
    match kind:
        case Scalar("bool"):
            return "true or false"
        case Scalar("int"):
            return "a whole number"
        case Scalar("float"):
            return "a number"
        case Scalar("str"):
            return "a text"
        case Scalar():
            return "an activation"
        case Words(words):
            return " or ".join(repr(word) for word in words)
        case Named(name):
            return f"the name of {article(name)}"
        case Data():
            return "a table"
        case Plugin(name):
            return article(name)
        case Record(cls):
            return f"a table of {cls.__name__}"
        case DictOf(of):
            return f"a table of named entries, each {describe(of)}"
        case ListOf(of):
            return f"a list, each {describe(of)}"
        case Either(options):
            return " or ".join(describe(option) for option in options)
        case Template(key, count):
            return f"`{count}` and `{key}`"


def article(kind: str) -> str:
    if kind == "names":
        return "a name map"
    return f"{'an' if kind[0] in 'aeiou' or kind == 'ffn' else 'a'} {kind}"
