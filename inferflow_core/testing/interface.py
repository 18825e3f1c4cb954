"""What can be seen of an entry without running it: has it the interface of its kind?

`inferflow plugins check` prints it, and every suite begins with it.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from inferflow_core import hooks
from inferflow_core.block import Block, Model, Position
from inferflow_core.catalog import Catalog
from inferflow_core.errors import InferflowError, nearest
from inferflow_core.interfaces import (
    Backend,
    Engine,
    Format,
    Loader,
    Sampler,
    Source,
    TokenizerEntry,
)
from inferflow_core.optable import Op
from inferflow_core.shapes import RULES
from inferflow_core.spec import check, read_spec
from inferflow_core.spec.entries import BLOCK_KINDS
from inferflow_core.spec.field_types import Scalar, fields_of
from inferflow_core.spec.names_reader import read_names

PROTOCOLS: Mapping[str, type[Any]] = {
    "loader": Loader,
    "format": Format,
    "tokenizer": TokenizerEntry,
    "sampler": Sampler,
    "backend": Backend,
    "engine": Engine,
    "source": Source,
}
"""Kind -> what its class must be able to do."""

MADE_WITH: Mapping[str, tuple[str, ...]] = {
    "loader": (),
    "format": (),
    "source": (),
    "backend": ("catalog",),
}
"""Kind -> what its class is called with."""

EITHER: Mapping[type[Block], tuple[str, ...]] = {
    Position: ("embed", "rotate", "score_bias"),
    Model: ("entries",),
}
"""What a block of the kind overrides at least one of; the other kinds have `forward`."""


def interface_problems(kind: str, name: str, obj: Any, catalog: Catalog) -> Iterator[str]:
    """What is wrong with the object (for data kinds: file) registered as `name`; nothing if it
    keeps the interface as far as can be seen."""
    if kind in BLOCK_KINDS:
        yield from _block(kind, obj)
    elif kind in PROTOCOLS:
        yield from _class(kind, name, obj)
    elif kind == "op":
        yield from _op(obj)
    elif kind == "kernel":
        yield from _kernel(name, obj, catalog)
    elif kind == "hook":
        yield from hooks.problems(obj)
    elif kind == "pass" and not callable(obj):
        yield "is no function from graph to graph"
    elif kind in ("spec", "names"):
        yield from _data(kind, name, catalog)


def _block(kind: str, obj: Any) -> Iterator[str]:
    if not (isinstance(obj, type) and issubclass(obj, Block) and getattr(obj, "kind", "") == kind):
        yield f"is no subclass of the block kind {kind!r}"
        return
    yield from _fields(obj)
    base = next((each for each in EITHER if issubclass(obj, each)), Block)
    names = EITHER.get(base, ("forward",))
    if all(getattr(obj, name) is getattr(base, name) for name in names):
        yield f"has no {' or '.join(names)} of its own"
    for method in ("params", "state", "children", "aliases", "decide", *names):
        yield from _accepts(obj, method, getattr(base, method))


def _class(kind: str, name: str, obj: Any) -> Iterator[str]:
    if not isinstance(obj, type):
        yield "is no class"
        return
    if kind in MADE_WITH:
        yield from _binds(obj, f"the class of a {kind}", MADE_WITH[kind], {})
    protocol = PROTOCOLS[kind]
    for method, wanted in inspect.getmembers(protocol, inspect.isfunction):
        if not method.startswith("_") or method == "__call__":
            yield from _accepts(obj, method, wanted, on_class=kind == "tokenizer")
    if kind in ("format", "backend") and getattr(obj, "name", None) != name:
        yield f"says that its name is {getattr(obj, 'name', None)!r}"
    if kind == "format":
        for size in ("block", "block_bytes"):
            value = getattr(obj, size, None)
            if not isinstance(value, int) or value < 1:
                yield f"has {size} = {value!r}; it must be a whole number from 1"
    if kind == "sampler":
        yield from _fields(obj)
        yield from _numbers(obj)


def _fields(cls: type[Any]) -> Iterator[str]:
    """A frozen dataclass whose fields a spec can fill."""
    if not dataclasses.is_dataclass(cls) or not cast("Any", cls).__dataclass_params__.frozen:
        yield "is no frozen dataclass"
        return
    try:
        fields_of(cls)
    except Exception as error:  # annotations and default factories are the plugin's code
        yield str(error)


def _numbers(cls: type[Any]) -> Iterator[str]:
    try:
        fields = fields_of(cls).values()
    except Exception:
        return
    for field in fields:
        if field.type not in (Scalar("int"), Scalar("float")) or field.required:
            yield f"field {field.name} is no number with a default"


def _accepts(
    cls: type[Any], name: str, wanted: Callable[..., Any], *, on_class: bool = False
) -> Iterator[str]:
    """The method is there and takes what callers pass: the protocol's arguments, called alike."""
    # Not getattr alone: every class has a `__call__`, that of `type`.
    static = next((vars(each)[name] for each in cls.__mro__ if name in vars(each)), None)
    bound = on_class or isinstance(static, classmethod | staticmethod)
    if static is None or not callable(getattr(cls, name)):
        yield f"has no {name}{inspect.signature(wanted)}"
        return
    positional, named = _arguments(wanted, skip=int(bound))
    what = f"{name}{inspect.signature(wanted)}"
    yield from _binds(getattr(cls, name), what, positional, named)


def _binds(
    called: Callable[..., Any], what: str, positional: Sequence[str], named: Mapping[str, str]
) -> Iterator[str]:
    try:
        inspect.signature(called).bind(*positional, **named)
    except TypeError as error:
        yield f"cannot be called as {what}: {error}"
    except ValueError:
        return  # a compiled function that does not tell its signature


def _arguments(wanted: Callable[..., Any], *, skip: int) -> tuple[list[str], dict[str, str]]:
    parameters = list(inspect.signature(wanted).parameters.values())[skip:]
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return positional, {p.name: p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def _op(obj: Any) -> Iterator[str]:
    if not isinstance(obj, Op):
        yield "is no inferflow_core.optable.Op"
    elif obj.reference is None and obj.decompose is None:
        yield "has neither a numpy reference nor a decomposition"


def _kernel(name: str, obj: Any, catalog: Catalog) -> Iterator[str]:
    op, at, backend = name.rpartition("@")
    if not callable(obj):
        yield "cannot be called"
    if not at:
        yield "is not named op@backend"
        return
    ops = {*RULES, *catalog.names("op")}
    if op not in ops:
        yield f"is for an op that does not exist: {op!r}.{nearest(op, ops)}"
    if backend not in catalog.names("backend"):
        yield f"is for a backend that is not installed: {backend!r}"


def _data(kind: str, name: str, catalog: Catalog) -> Iterator[str]:
    try:
        if kind == "spec":
            check(read_spec(name, catalog), catalog)
        else:
            read_names(name, lambda each: catalog.get("names", each))
    except InferflowError as error:
        yield error.message
