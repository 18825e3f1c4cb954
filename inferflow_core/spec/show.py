"""Prints tables as TOML with the origin of every value beside it, and as JSON."""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from inferflow_core.spec.merge import Spec
from inferflow_core.spec.nodes import Array, Datum, Layers, Leaf, Node, Patched, Section, join
from inferflow_core.spec.plan import Plan

COLUMN = 31
BARE = re.compile(r"[A-Za-z0-9_-]+")


def show(what: Plan | Spec) -> str:
    """A plan's filled tables, or a spec's merged ones, as a valid spec.

    Each line ends with a comment that says where its value comes from. Keys without a value stand
    there as comments. Layers that differ become a `case` by index.
    """
    root = what.filled if isinstance(what, Plan) else what.root
    lines = ["spec = 1", f"name = {_scalar(what.name)}"]
    if what.chain:
        lines.append(f"# {_comment(' extends '.join(what.chain))}")
    for key, node in root.items.items():
        _table(node, key, lines)
    return "\n".join(lines) + "\n"


def to_json(plan: Plan) -> dict[str, Any]:
    """A plan as JSON data: `tables` with all values, `origins` by dotted path, layers expanded."""
    tables: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, node in plan.filled.items.items():
        tables[key] = _plain(node, key, origins)
    return {
        "name": plan.name,
        "source": plan.source,
        "names": plan.names,
        "chain": list(plan.chain),
        "tables": tables,
        "origins": origins,
    }


def _table(node: Node, path: str, lines: list[str], header: str = "[{}]") -> None:
    if isinstance(node, Layers):
        _layers(node, path, lines)
        return
    if not isinstance(node, Section):
        return
    lines += ["", header.format(path)]
    below: list[tuple[str, Node]] = []
    for key, item in node.items.items():
        if isinstance(item, Section | Layers) or _of_tables(item):
            below.append((key, item))
        else:
            lines.append(_line(key, item))
    for key, item in below:
        inner = join(path, _key(key))
        if isinstance(item, Array):
            for one in item.items:
                _table(one, inner, lines, "[[{}]]")
        else:
            _table(item, inner, lines)


def _of_tables(node: Node) -> bool:
    return (
        isinstance(node, Array)
        and bool(node.items)
        and all(isinstance(item, Section) for item in node.items)
    )


def _layers(node: Layers, path: str, lines: list[str]) -> None:
    """One table if all layers are equal, else a case that lists which table each layer has."""
    distinct: dict[str, Section] = {}
    which: list[str] = []
    for section in node.items:
        which.append(json.dumps(_plain(section, "", {}), sort_keys=True, default=str))
        distinct.setdefault(which[-1], section)
    if len(distinct) == 1:
        _table(node.items[0], path, lines)
        return
    names = {text: f"kind{k}" for k, text in enumerate(distinct)}
    listed = ", ".join(f'"{names[text]}"' for text in which)
    lines += ["", f"[{path}]", f"case = [{listed}]  # {_comment(node.origin)}"]
    for text, section in distinct.items():
        _table(section, f"{path}.of.{names[text]}", lines)


def _line(key: str, node: Node) -> str:
    if isinstance(node, Datum) and (node.value is None or not _has_toml(node.value)):
        shown = "absent" if node.value is None else _comment(repr(node.value))
        return f"{f'# {_key(key)}: {shown}':<{COLUMN}} # {_comment(node.origin)}"
    return f"{f'{_key(key)} = {_inline(node)}':<{COLUMN}} # {_comment(node.origin)}"


def _has_toml(value: Any) -> bool:
    return isinstance(value, bool | int | float | str | Mapping | list | tuple)


def _inline(node: Node) -> str:
    match node:
        case Leaf() | Datum():
            return _value(node.value)
        case Array():
            return f"[{', '.join(_inline(item) for item in node.items)}]"
        case Section():
            items = ", ".join(f"{_key(k)} = {_inline(item)}" for k, item in node.items.items())
            return f"{{ {items} }}" if items else "{}"
        case Patched():
            return _inline(node.base)
        case Layers():
            return "[]"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        inside = ", ".join(f"{_key(k)} = {_value(item)}" for k, item in items)
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in cast('list[Any]', value))}]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        clean = value.encode("utf-8", "replace").decode("utf-8")
        return json.dumps(clean, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else _scalar(key)


def _comment(text: str) -> str:
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() else " " for c in clean)


def _plain(node: Node, path: str, origins: dict[str, str]) -> Any:
    match node:
        case Section():
            return {k: _plain(item, join(path, k), origins) for k, item in node.items.items()}
        case Array() | Layers():
            return [_plain(item, join(path, str(k)), origins) for k, item in enumerate(node.items)]
        case Patched():
            return _plain(node.base, path, origins)
        case Leaf() | Datum():
            origins[path] = node.origin
            return _json(node.value)


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _json(item) for k, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in cast("list[Any]", value)]
    return value if isinstance(value, bool | int | float | str) or value is None else repr(value)
