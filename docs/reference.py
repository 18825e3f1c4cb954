"""Prints docs/reference.md: every entry of inferflow-core with its fields, and every hook."""

import dataclasses
import inspect
import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Any

from inferflow_server.cli.field_docs import field_docs

from inferflow_core import hooks
from inferflow_core.block import ACTIVATIONS
from inferflow_core.catalog import DATA_KINDS, GROUPS, HOME, Catalog, Entry
from inferflow_core.spec.field_types import Field, Plugin, Template, describe, fields_of
from inferflow_core.spec.tables import TABLE_TYPES, Record

INTRODUCTION = """# Reference

Made by `make docs` from the code itself; do not edit. What a spec may say: its tables, then the
entries that `use = "name"` may name, by kind. A table's other keys are the entry's fields. A field
without a default must be written. The language is in [Specs](specs.md)."""
HOOKS = """
## hooks

Events, through pluggy; entry-point group `inferflow.hooks`. A hook may take fewer arguments than
are listed."""


def main() -> None:
    catalog = Catalog()
    print(INTRODUCTION)
    print("\n".join(tables()))
    print("\n".join(activations()))
    print("\n".join(config_keys()))
    for kind, group in GROUPS.items():
        entries = [each for each in catalog.entries(kind) if each.distribution == HOME]
        if entries:
            print(f"\n## {kind}\n\nEntry-point group `{group}`.")
        for entry in entries:
            print(f"\n### {entry.name}\n")
            print("\n".join(describe_entry(entry, catalog.get(kind, entry.name))))
    print(HOOKS)
    for name, hook in inspect.getmembers(hooks, inspect.isfunction):
        if getattr(hook, f"{hooks.PROJECT}_spec", None):
            signature = str(inspect.signature(hook)).replace("'", "")
            print(f"\n### {name}\n\n`{name}{short(signature)}`\n\n{inspect.getdoc(hook)}")


def tables() -> Iterator[str]:
    """The tables of a spec that are no plugins."""
    for name, kind in TABLE_TYPES.items():
        if isinstance(kind, Record):
            yield f"\n## [{name}]\n"
            yield from fields(kind.cls)


def activations() -> Iterator[str]:
    yield "\n## activations\n\n| name | is |\n|---|---|"
    for name, meant in ACTIVATIONS.items():
        yield f"| `{name}` | {'itself' if name == meant else f'`{meant}`'} |"


def config_keys() -> Iterator[str]:
    """The table of normalised config keys."""
    text = files("inferflow_loaders").joinpath("config_keys.toml").read_text("utf-8")
    yield "\n## config keys\n\nWhat `${config.…}` may ask of every source, and the file's own keys"
    yield "for it, in order; those of a GGUF follow its architecture and a dot.\n"
    yield "| key | config.json | GGUF | llama2.c |\n|---|---|---|---|"
    for key, spellings in tomllib.loads(text).items():
        cells = (spellings.get(source, []) for source in ("hf", "gguf", "llama2c"))
        lists = ([cell] if isinstance(cell, str) else cell for cell in cells)
        yield f"| `{key}` | {' | '.join(', '.join(f'`{one}`' for one in each) for each in lists)} |"


def describe_entry(entry: Entry, obj: Any) -> Iterator[str]:
    """The lines of one entry: what it is, then its fields."""
    if entry.kind in DATA_KINDS:
        text = obj.read_text("utf-8")
        comments = (line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
        yield next(comments, f"`{obj.name}`.")
        table = tomllib.loads(text)
        if parent := table.get("extends"):
            path = table.get("weights", {}).get("path")
            yield f"\nExtends `{parent}`." + (f" From `{path}`." if path else "")
        return
    yield inspect.getdoc(obj) or ""
    if dataclasses.is_dataclass(obj) and dataclasses.fields(obj):
        yield ""
        yield from fields(obj)


def fields(cls: Any) -> Iterator[str]:
    """A table of the fields of a class, as a spec sees them."""
    docs = field_docs(cls)
    yield "| field | value | default | meaning |\n|---|---|---|---|"
    for field in fields_of(cls).values():
        for key, value, meaning in keys(field, docs.get(field.name, "")):
            yield f"| `{key}` | {value} | {default(field)} | {meaning} |"


def keys(field: Field, meaning: str) -> Iterable[tuple[str, str, str]]:
    """The keys of a spec that fill a field, what may be written, and what it means."""
    if isinstance(field.type, Template):
        return [
            (field.type.count, "a whole number", "Number of layers."),
            (field.type.key, linked(field.type.of), "Evaluated for each index from 0."),
        ]
    return [(field.name, linked(field.type), meaning.replace("|", "\\|"))]


def linked(kind: Any) -> str:
    text = describe(kind)
    return f"[{text}](#{kind.kind})" if isinstance(kind, Plugin) else text


def default(field: Field) -> str:
    """A field's default as a spec would write it; empty where there is none."""
    if field.required:
        return ""
    if field.default is None:
        return "absent"
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"`{text}`".replace("'", '"')


def short(annotation: str) -> str:
    """An annotation without modules."""
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", annotation)


if __name__ == "__main__":
    main()
