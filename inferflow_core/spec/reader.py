"""TOML text -> the tables of one spec file, checked for form and for size before anything else."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from inferflow_core.errors import Problem, SpecError, nearest
from inferflow_core.spec.nodes import Array, Leaf, Node, Section, join
from inferflow_core.spec.problems import Problems, Wrong, keys_of

VERSION = 1
TABLES = ("config", "weights", "tokenizer", "generation", "model", "run")
HEADER = ("spec", "name", "extends", "match")
MAX_BYTES = 128 * 1024
MAX_DOTS = 200
MAX_DEPTH = 24
LARGEST_INT = 2**63 - 1

Match = Mapping[str, tuple[Any, ...]]
"""Key -> the accepted values; one of them may be the word `present` or `absent`."""


@dataclass(frozen=True)
class SpecFile:
    """One file as written: header and tables, its parent not yet merged."""

    label: str
    name: str | None
    extends: str | None
    match: tuple[Match, ...]
    root: Section


def parse_toml(text: str, label: str) -> dict[str, Any]:
    """`tomllib.loads`, with every way in which it can fail as a SpecError.

    Size and dots a line are bounded first: tomllib's work and memory grow with the square of a
    dotted key's length.
    """
    if len(text) > MAX_BYTES:
        raise SpecError(label, [Problem("toml", f"longer than {MAX_BYTES} characters")])
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MAX_DOTS:
            raise SpecError(label, [Problem(f"line {number}", f"more than {MAX_DOTS} dots")])
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SpecError(label, [Problem("toml", "tables or lists nested too deep")]) from None
    except ValueError as error:
        raise SpecError(label, [Problem("toml", str(error))]) from None


def to_node(value: Any, at: str, origin: str, depth: int = 0) -> Node:
    """Parsed TOML -> nodes. Raises Wrong for dates, numbers beyond 64 bits and deep nesting."""
    if depth > MAX_DEPTH:
        raise Wrong(at, f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        items = {k: to_node(v, join(at, k), origin, depth + 1) for k, v in table.items()}
        return Section(items, at, origin)
    if isinstance(value, list):
        listed = enumerate(cast("list[Any]", value))
        items = tuple(to_node(v, join(at, str(k)), origin, depth + 1) for k, v in listed)
        return Array(items, at, origin)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST_INT:
        raise Wrong(at, "a whole number beyond 64 bits")
    if isinstance(value, bool | int | float | str):
        return Leaf(value, at, origin)
    raise Wrong(at, f"a {type(value).__name__} is not a value of a spec")


def read_text(text: str, label: str) -> SpecFile:
    """One spec file. Raises SpecError with all that is wrong with its form."""
    raw = parse_toml(text, label)
    problems = Problems()
    version = raw.get("spec")
    if version is None:
        problems.add("spec", f"missing: a spec begins with `spec = {VERSION}`")
    elif version is True or version != VERSION:
        problems.add("spec", f"found {version!r}; this inferflow reads version {VERSION}")
    for key, value in raw.items():
        if key not in (*HEADER, *TABLES):
            known = (*HEADER, *TABLES)
            problems.add(key, f"unknown key.{nearest(key, known)} (keys: {keys_of(known)})")
        elif key in TABLES and not isinstance(value, dict):
            problems.add(key, "must be a table")
    root: dict[str, Node] = {}
    for key in TABLES:
        if isinstance(raw.get(key), dict):
            try:
                root[key] = to_node(raw[key], key, label)
            except Wrong as wrong:
                problems.add(wrong.at, wrong.message)
    name, extends = (_text(raw, key, problems) for key in ("name", "extends"))
    match = _match(raw.get("match", []), problems)
    problems.raise_if_any(label)
    return SpecFile(label, name, extends, match, Section(root, "", label))


def _text(raw: Mapping[str, Any], key: str, problems: Problems) -> str | None:
    value = raw.get(key)
    if value is None or (isinstance(value, str) and value):
        return value
    problems.add(key, f"expected a name, found {value!r}")
    return None


def _match(raw: Any, problems: Problems) -> tuple[Match, ...]:
    if not isinstance(raw, list):
        problems.add("match", 'must be a list of tables: match = [{ model_type = "…" }]')
        return ()
    found: list[Match] = []
    for index, item in enumerate(cast("list[Any]", raw)):
        at = f"match.{index}"
        if not isinstance(item, dict) or not item:
            problems.add(at, "must be a table with at least one key")
            continue
        keys: dict[str, tuple[Any, ...]] = {}
        for key, value in cast("dict[str, Any]", item).items():
            accepted = cast("list[Any]", value) if isinstance(value, list) else [value]
            if not accepted or not all(isinstance(v, bool | int | float | str) for v in accepted):
                problems.add(join(at, key), "must be a value or a list of values")
            elif any(isinstance(v, str) and "${" in v for v in accepted):
                problems.add(join(at, key), "a match compares values; it has no references")
            else:
                keys[key] = tuple(accepted)
        found.append(keys)
    return tuple(found)
