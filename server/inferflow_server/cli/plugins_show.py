"""`inferflow plugins show NAME`: one name, looked at closely."""

import dataclasses
import inspect
import re
from typing import Any

import click

from inferflow_core.catalog import DATA_KINDS, Catalog, Entry
from inferflow_core.errors import UnknownEntry, nearest
from inferflow_server.cli.field_docs import field_docs
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import debug_option, json_option
from inferflow_server.cli.output import print_json


@click.command("show")
@click.argument("name")
@click.option("--kind", help="Only this kind: a name may be of several.")
@json_option
@debug_option
def command(name: str, kind: str | None, as_json: bool) -> None:
    """Show one name: where it comes from, what it says of itself, its fields and defaults.

    Imports the plugins of that name, and no others.

    \b
    Example:
        inferflow plugins show rms_norm

    --json prints a list, one for each kind that has the name: {"kind", "name", "distribution",
    "version", "value", "status"}, then "file" and either "text" (of a spec or a name map) or "doc"
    and "fields", each {"name", "type", "default", "meaning"}; the default is null where a field is
    required.
    """
    catalog, _ = registered()
    entries = [entry for entry in catalog.entries(kind) if entry.name == name]
    if not entries:
        names = {entry.name for entry in catalog.entries(kind)}
        raise UnknownEntry(f"nothing is named {name!r}.{nearest(name, names)}")
    found = [_describe(catalog, entry) for entry in entries]
    if as_json:
        print_json(found)
        return
    click.echo("\n\n".join(_text(description) for description in found))


def _describe(catalog: Catalog, entry: Entry) -> dict[str, Any]:
    description: dict[str, Any] = {
        "kind": entry.kind,
        "name": entry.name,
        "distribution": entry.distribution,
        "version": entry.version,
        "value": entry.value,
        "status": entry.status,
    }
    if entry.problem:
        return description
    obj = catalog.get(entry.kind, entry.name)
    if entry.kind in DATA_KINDS:
        return description | {"file": str(obj), "text": obj.read_text("utf-8")}
    meanings = field_docs(obj) if inspect.isclass(obj) else {}
    return description | {
        "file": _place(obj),
        "doc": inspect.getdoc(obj) or "",
        "fields": [
            {"name": field.name, "type": _type(field), "default": _default(field)}
            | {"meaning": meanings.get(field.name, "")}
            for field in (dataclasses.fields(obj) if dataclasses.is_dataclass(obj) else ())
        ],
    }


def _place(obj: Any) -> str:
    try:
        file = inspect.getsourcefile(obj)
        return f"{file}:{inspect.getsourcelines(obj)[1]}" if file else ""
    except (OSError, TypeError):
        return ""


def _type(field: "dataclasses.Field[Any]") -> str:
    """An annotation, without the modules of its names."""
    written = field.type if isinstance(field.type, str) else inspect.formatannotation(field.type)
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", written)


def _default(field: "dataclasses.Field[Any]") -> str | None:
    """As Python writes it; None where the field is required."""
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    return None if field.default_factory is dataclasses.MISSING else "(made anew)"


def _text(description: dict[str, Any]) -> str:
    head = "{kind} {name}  ({distribution} {version}, {value})".format(**description)
    if description["status"] != "ok":
        return f"{head}\n{description['status']}"
    parts = [head, description["file"]]
    if "text" in description:
        return "\n".join([*parts, "", description["text"].rstrip()])
    if description["doc"]:
        parts += ["", description["doc"]]
    for index, field in enumerate(description["fields"]):
        default = "required" if field["default"] is None else f"= {field['default']}"
        parts += [""] if index == 0 else []
        parts.append(
            f"  {field['name']:<18} {field['type']:<28} {default:<12} {field['meaning']}".rstrip()
        )
    return "\n".join(parts)
