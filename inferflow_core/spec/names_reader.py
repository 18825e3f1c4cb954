"""Reads name maps: TOML with `names = 1`. All problems of a map are reported at once."""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from importlib.resources.abc import Traversable
from typing import Any, TypeGuard, cast

from inferflow_core.errors import InferflowError, Problem, SpecError, nearest
from inferflow_core.spec.names import NUMBERS, PLACEHOLDER, NameMap, Rule, Template
from inferflow_core.spec.names_files import NamesFile
from inferflow_core.spec.reader import MAX_BYTES, parse_toml

FORMAT = 1
"""The version of the format that `names = 1` states."""

LONGEST_CHAIN = 4
"""Files in a chain of `extends`, the map itself included."""

REFERENCE = re.compile(r"\$\{config\.([^{}?]+)(\??)\}")
OPERATIONS = ("to", "split", *(field.name for field in fields(Rule)[2:]))

Find = Callable[[str], Traversable]
"""The file of a name map's name: `find_names(catalog)`."""


def read_names(name: str, find: Find) -> NameMap:
    """Reads a name map and its parents. Raises SpecError with all problems."""
    problems: list[Problem] = []
    tables: list[dict[str, Any]] = []
    chain = [name]
    file = find(name)
    while True:
        found: list[Problem] = []
        table = _load(file, found)
        if not found:
            _check_table(table, chain[-1], found)
        where = f"{chain[-1]}: " if len(chain) > 1 else ""
        problems += [Problem(where + problem.path, problem.message) for problem in found]
        tables.insert(0, table)
        parent = table.get("extends")
        if not isinstance(parent, str):
            break
        refusal = ""
        if parent in chain:
            refusal = f"goes in a circle: {' → '.join([*chain, parent])}"
        elif len(chain) == LONGEST_CHAIN:
            refusal = f"more than {LONGEST_CHAIN} files: {' → '.join([*chain, parent])}"
        else:
            try:
                file = find(parent)
            except InferflowError as error:
                refusal = str(error)
        if refusal:
            problems.append(Problem(f"{where}extends", refusal))
            break
        chain.append(parent)
    if problems:
        raise SpecError(f"name map {name!r}", problems)
    return _merge(name, tables)


def _load(file: Traversable, problems: list[Problem]) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            return parse_toml(stream.read(MAX_BYTES + 1).decode("utf-8"), "name map")
    except (OSError, ValueError) as error:
        problems.append(Problem("(file)", f"cannot be read: {error}"))
    except SpecError as error:
        problems += [
            Problem("(file)", f"cannot be read: {each.message}") for each in error.problems
        ]
    return {}


def _merge(name: str, tables: list[dict[str, Any]]) -> NameMap:
    """Parents first: entries of a child replace its parents', `ignore` adds up."""
    merged: dict[str, Any] = {}
    entries: dict[str, Any] = {}
    ignore: list[str] = []
    for table in tables:
        merged |= table
        entries |= table["map"]
        ignore += [pattern for pattern in table.get("ignore", []) if pattern not in ignore]
    return NameMap(
        name=name,
        rules=tuple(_rule(key, entry) for key, entry in entries.items()),
        strip=tuple(merged.get("strip", [])),
        ignore=tuple(ignore),
        ignore_extra_layers=merged.get("extra_layers") == "ignore",
    )


def config_keys(names: NameMap) -> list[str]:
    """The config keys that the map's `groups` refer to."""
    groups = (rule.groups for rule in names.rules if isinstance(rule.groups, str))
    return sorted({found[1] for text in groups if (found := REFERENCE.fullmatch(text))})


def _rule(key: str, entry: str | dict[str, Any]) -> Rule:
    """A checked entry of `[map]`."""
    operations: dict[str, Any] = {"to": entry} if isinstance(entry, str) else dict(entry)
    split = operations.pop("split", None)
    targets = [operations.pop("to")] if split is None else split
    return Rule(Template(key), tuple(map(Template, targets)), **operations)


# ---------------------------------------------------------------------------------------------
# Checks


def _check_table(table: dict[str, Any], name: str, problems: list[Problem]) -> None:
    def problem(path: str, message: str) -> None:
        problems.append(Problem(path, message))

    keys = ("names", "name", "extends", "strip", "ignore", "extra_layers", "map")
    for key in (key for key in table if key not in keys):
        problem(key, f"unknown key.{nearest(key, keys)}  (keys: {', '.join(keys)})")
    if table.get("names") != FORMAT or isinstance(table.get("names"), bool):
        problem("names", f"must be {FORMAT}, the version of the format")
    registered = name.map_name if isinstance(name, NamesFile) else name
    if table.get("name") != registered:
        what = "stands in" if isinstance(name, NamesFile) else "is registered as"
        problem("name", f"is {table.get('name')!r}, but the map {what} {str(name)!r}")
    if not isinstance(table.get("extends", ""), str):
        problem("extends", "must be the name of a name map")
    for key in ("strip", "ignore"):
        if not _is_texts(table.get(key, [])):
            problem(key, "must be a list of texts")
    if table.get("extra_layers", "error") not in ("error", "ignore"):
        problem("extra_layers", 'must be "error" or "ignore"')
    if not isinstance(table.get("map"), dict):
        problem("map", "missing: the table of tensor names")
        return
    for key, entry in cast("dict[str, Any]", table["map"]).items():
        for message in _entry_problems(key, entry):
            problem(f'map."{key}"', message)


def _entry_problems(key: str, entry: Any) -> Iterable[str]:
    """What is wrong with one entry of `[map]`."""
    yield from _template_problems(key)
    if not isinstance(entry, str | dict):
        yield "must be a param's path, or a table of operations"
        return
    table = {"to": entry} if isinstance(entry, str) else cast("dict[str, Any]", entry)
    for word in (word for word in table if word not in OPERATIONS):
        yield f"unknown operation {word!r}.{nearest(word, OPERATIONS)}"
    if ("to" in table) == ("split" in table):
        yield "needs either `to` or `split`"
        return
    targets: Any = table.get("split", [table.get("to")])
    if not _is_texts(targets):
        yield "`to` is a param's path, `split` a list of them"
        return
    if "split" in table and len(set(targets)) != max(len(targets), 2):
        yield "`split` needs two or more different params"
    yield from _operation_problems(table)
    stack = table.get("stack")
    words = Template(key).words
    if stack is not None and stack not in words & NUMBERS:
        yield "`stack` names a number of the tensor's name, {i} or {j}"
    for target in targets:
        yield from _template_problems(target)
        for word in sorted(words ^ Template(target).words):
            if word not in words:
                yield f"{{{word}}} of {target!r} is not in the tensor's name"
            elif word != stack:
                yield f"{{{word}}} is missing in {target!r}"
        if stack in Template(target).words:
            yield f"{{{stack}}} is stacked, so it cannot stand in {target!r}"


def _operation_problems(table: dict[str, Any]) -> Iterable[str]:
    for word in ("squeeze", "transpose", "unit_rows"):
        if not isinstance(table.get(word, False), bool):
            yield f"`{word}` is true or false"
    for word, base in (("axis", "split"), ("groups", "split"), ("stack", "to")):
        if word in table and base not in table:
            yield f"`{word}` goes with `{base}`"
    if not _is_whole(table.get("axis", 0), 0):
        yield "`axis` is a whole number from 0"
    groups = table.get("groups", 1)
    if not _is_whole(groups, 1) and not (isinstance(groups, str) and REFERENCE.fullmatch(groups)):
        yield '`groups` is a whole number from 1, or "${config.…}"'
    add = table.get("add", 0)
    if isinstance(add, bool) or not isinstance(add, int | float) or not math.isfinite(add):
        yield "`add` is a number"


def _template_problems(text: str) -> Iterable[str]:
    rest = PLACEHOLDER.sub("", text)
    if not text or "{" in rest or "}" in rest:
        yield f"{text!r} is not a dotted name with {{placeholders}}"
    for word in PLACEHOLDER.findall(text):
        if not re.fullmatch(r"[a-z][a-z0-9_]*", word):
            yield f"{{{word}}} is not a placeholder: use {{i}}, {{j}}, {{p}} or a {{word}}"
        elif word not in NUMBERS and f"{{{word}}}" not in text.split("."):
            yield f"{{{word}}} must be a whole component of {text!r}"


def _is_texts(value: Any) -> TypeGuard[list[str]]:
    if not isinstance(value, list):
        return False
    return all(isinstance(item, str) and item for item in cast("list[Any]", value))


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
