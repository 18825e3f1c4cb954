"""Prints docs/reference.md: every entry of inferflow-core with its fields, and every hook."""

import dataclasses
import inspect
import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from inferflow_core import hooks
from inferflow_core.catalog import DATA_KINDS, GROUPS, HOME, Catalog, Entry

INTRODUCTION = """# Reference

Made by `make docs` from the code itself; do not edit. A spec names an entry with `use = "name"`;
the table's other keys are its fields. A field without a default must be written."""


def main() -> None:
    catalog = Catalog()
    print(INTRODUCTION)
    for kind, group in GROUPS.items():
        entries = [each for each in catalog.entries(kind) if each.distribution == HOME]
        if entries:
            print(f"\n## {kind}\n\nEntry-point group `{group}`.")
        for entry in entries:
            print(f"\n### {entry.name}\n")
            print("\n".join(describe(entry, catalog.get(kind, entry.name))))
    print("\n".join(config_keys()))
    print("\n## hooks\n\nEvents, through pluggy; entry-point group `inferflow.hooks`. A hook may")
    print("take fewer arguments than are listed.")
    for name, hook in inspect.getmembers(hooks, inspect.isfunction):
        if getattr(hook, f"{hooks.PROJECT}_spec", None):
            signature = str(inspect.signature(hook)).replace("'", "")
            print(f"\n### {name}\n\n`{name}{short(signature)}`\n\n{inspect.getdoc(hook)}")


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


def describe(entry: Entry, obj: Any) -> Iterator[str]:
    """The lines of one entry: what it is, then its fields."""
    if entry.kind in DATA_KINDS:
        text = obj.read_text("utf-8")
        comments = (line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
        yield next(comments, f"`{obj.name}`.")
        if parent := tomllib.loads(text).get("extends"):
            yield f"\nExtends `{parent}`."
        return
    yield (inspect.getdoc(obj) or "").partition("\n\n")[0]
    fields = dataclasses.fields(obj) if dataclasses.is_dataclass(obj) else ()
    if fields:
        yield "\n| field | type | default |\n|---|---|---|"
    for field in fields:
        kind = field.type if isinstance(field.type, str) else inspect.formatannotation(field.type)
        yield f"| `{field.name}` | {short(kind)} | {default(field)} |"


def short(annotation: str) -> str:
    """An annotation without modules, as a table's cell."""
    text = re.sub(r"\b(?:\w+\.)+(?=\w)", "", annotation).replace("Annotated[str, 'act']", "act")
    while (plain := re.sub(r"(?:Literal|Union)\[([^\[\]]*)\]", _alternatives, text)) != text:
        text = plain
    return text.removesuffix(" | None").replace(" | ", " or ")


def _alternatives(found: re.Match[str]) -> str:
    return found[1].replace(", ", " or ").replace("'", '"')


def default(field: dataclasses.Field[Any]) -> str:
    """A field's default as a spec would write it; empty where there is none."""
    if field.default is dataclasses.MISSING:
        return ""
    if field.default is None:
        return "absent"
    text = str(field.default).lower() if isinstance(field.default, bool) else repr(field.default)
    return f"`{text}`".replace("'", '"')


if __name__ == "__main__":
    main()
