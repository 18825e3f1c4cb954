"""Prints docs/reference.md: every entry of inferflow-core with its fields, and every hook."""

import dataclasses
import inspect
import tomllib
from collections.abc import Iterator
from typing import Any

from inferflow_core import hooks
from inferflow_core.catalog import DATA_KINDS, GROUPS, HOME, Catalog, Entry


def main() -> None:
    catalog = Catalog()
    print("# Reference\n")
    print("Made by `make docs` from the code itself; do not edit. A spec names an entry with")
    print('`use = "name"`; the fields are the table\'s other keys. A field without a default must')
    print("be written.")
    for kind, group in GROUPS.items():
        entries = [each for each in catalog.entries(kind) if each.distribution == HOME]
        if entries:
            print(f"\n## {kind}\n\nEntry-point group `{group}`.")
        for entry in entries:
            print(f"\n### {entry.name}\n")
            print("\n".join(describe(entry, catalog.get(kind, entry.name))))
    print(
        "\n## hooks\n\nEvents, through pluggy; group `inferflow.hooks`. A hook may take fewer arguments."
    )
    for name, hook in inspect.getmembers(hooks, inspect.isfunction):
        if getattr(hook, f"{hooks.PROJECT}_spec", None):
            print(f"\n### {name}\n\n`{name}{inspect.signature(hook)}`\n\n{inspect.getdoc(hook)}")


def describe(entry: Entry, obj: Any) -> Iterator[str]:
    if entry.kind in DATA_KINDS:
        text = obj.read_text("utf-8")
        comments = (line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
        yield next(comments, f"A {'model' if 'model' in entry.value else 'table'}.")
        if parent := tomllib.loads(text).get("extends"):
            yield f"\nExtends `{parent}`."
        return
    yield (inspect.getdoc(obj) or "").partition("\n\n")[0]
    if not dataclasses.is_dataclass(obj):
        return
    fields = dataclasses.fields(obj)
    if fields:
        yield "\n| field | type | default |\n|---|---|---|"
    for field in fields:
        required = field.default is dataclasses.MISSING
        kind = field.type if isinstance(field.type, str) else inspect.formatannotation(field.type)
        shown = "" if required else f"`{field.default!r}`"
        yield f"| `{field.name}` | `{kind}` | {shown} |".replace(" | None", " or absent")


if __name__ == "__main__":
    main()
