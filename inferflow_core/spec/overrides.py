"""`--set a.b=value`: the last word over a spec, one key each."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, cast

from inferflow_core.errors import nearest
from inferflow_core.spec.merge import merge
from inferflow_core.spec.nodes import CASE_KEYS, Node, Patched, Section, join
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
            root = cast("Section", _laid(root, path, value, ""))
        except Wrong as wrong:
            problems.add(wrong.at, wrong.message)
    return root


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


def _laid(node: Node | None, path: list[str], value: Any, at: str) -> Node:
    """The node with `value` at `path` below it."""
    if not path:
        new = to_node(value, at, ORIGIN, at.count("."))
        return merge(node, new)
    key, rest = path[0], path[1:]
    if node is None:
        node = Section({}, at, ORIGIN)
    if isinstance(node, Section) and _is_written(node, key):
        if key == "use" and not rest and at.startswith("model"):
            return Section({key: to_node(value, join(at, key), ORIGIN)}, at, ORIGIN)
        below = _laid(node.get(key), rest, value, join(at, key))
        return Section({**node.items, key: below}, node.at, node.origin)
    if isinstance(node, Patched) and key not in CASE_KEYS:
        patch = _laid(node.patch, path, value, at)
        return Patched(node.base, cast("Section", patch))
    patch = _laid(Section({}, at, ORIGIN), path, value, at)
    return Patched(node, cast("Section", patch))


def _is_written(section: Section, key: str) -> bool:
    """Whether a key goes into the table as written, not into what it evaluates to."""
    return not section.function and (key in CASE_KEYS or not section.is_case)
