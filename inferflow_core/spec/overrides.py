"""`--set a.b=value`: the last word over a spec, one key each."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from inferflow_core.errors import nearest
from inferflow_core.spec.merge import lay
from inferflow_core.spec.nodes import Node, Section, join
from inferflow_core.spec.problems import Problems, Wrong, keys_of
from inferflow_core.spec.reader import MAX_DEPTH, TABLES, to_node

ORIGIN = "--set"
KEY = re.compile(r'\s*(?:[A-Za-z0-9_-]+|"[^"\\\n]*")\s*')
Overrides = Iterable[str] | Mapping[str, Any]


def apply_overrides(root: Section, overrides: Overrides, problems: Problems) -> Section:
    """The tables with every override laid over them, in order; a malformed one is a problem.

    Below a case or a reference the keys are laid over what that turns out to be, so
    `model.layer.mixer.window=1024` works in every family.
    """
    for key, value in _pairs(overrides, problems):
        try:
            path = _path(key)
            if path[0] not in TABLES or len(path) < 2:
                close = nearest(path[0], TABLES)
                raise Wrong(key, f"{ORIGIN}: sets keys of the tables {keys_of(TABLES)}.{close}")
            root = _over(root, path, value)
        except Wrong as wrong:
            problems.add(wrong.at, wrong.message)
    return root


def _over(root: Section, path: list[str], value: Any) -> Section:
    """One override; the tables that are no plugins take a `use` as any other key."""
    table, key = path[0], path[1]
    old = root.get(table)
    if table != "model" and isinstance(old, Section):
        below = lay(old.get(key), _nested(path[2:], value, join(table, key)))
        new = Section({**old.items, key: below}, table, old.origin)
    else:
        new = lay(old, _nested(path[1:], value, table))
    return Section({**root.items, table: new}, root.at, root.origin)


def _pairs(overrides: Overrides, problems: Problems) -> Iterable[tuple[str, Any]]:
    if isinstance(overrides, Mapping):
        yield from overrides.items()
        return
    for text in [overrides] if isinstance(overrides, str) else overrides:
        key, equals, value = text.partition("=")
        if equals and key.strip():
            yield key.strip(), typed(value.strip())
        else:
            problems.add(text[:60], f"{ORIGIN}: expected KEY=VALUE")


def typed(text: str) -> Any:
    """A value as TOML types it; what is no TOML value is a text, so `run.backend=numpy` works."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _path(key: str) -> list[str]:
    parts: list[str] = []
    place = 0
    while (found := KEY.match(key, place)) is not None:
        parts.append(found[0].strip().strip('"'))
        place = found.end()
        if place == len(key):
            if len(parts) > MAX_DEPTH:
                raise Wrong(key[:60], f"{ORIGIN}: more than {MAX_DEPTH} levels")
            return parts
        if key[place] != ".":
            break
        place += 1
    raise Wrong(key[:60], f"{ORIGIN}: no dotted key")


def _nested(path: list[str], value: Any, at: str) -> Node:
    """The value inside of a table for each key of the path."""
    if not path:
        return to_node(value, at, ORIGIN, at.count("."))
    return Section({path[0]: _nested(path[1:], value, join(at, path[0]))}, at, ORIGIN)
