"""`inferflow plugins list`: every name, and what is wrong with it."""

import click

from inferflow_core.catalog import GROUPS, HOME, Catalog, Entry
from inferflow_core.errors import PluginError
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import debug_option, json_option
from inferflow_server.cli.output import imports, print_columns, print_json

KEYS = ("kind", "name", "distribution", "version", "status")


@click.command("list")
@click.option("--kind", type=click.Choice(sorted(GROUPS)), help="Only this kind.")
@click.option("--no-import", is_flag=True, help="Read metadata only; a broken plugin looks well.")
@json_option
@debug_option
def command(kind: str | None, no_import: bool, as_json: bool) -> None:
    """List every name in the catalog.

    Plugins of other distributions are imported, each for itself, to see whether they work.

    \b
    Example:
        inferflow plugins list --kind sampler

    --json prints [{"kind", "name", "distribution", "version", "status"}]; the status is "ok", or
    what is wrong.
    """
    catalog, _ = registered()
    rows = [
        {"kind": entry.kind, "name": entry.name}
        | {"distribution": entry.distribution, "version": entry.version}
        | {"status": entry.status if no_import else status(catalog, entry)}
        for entry in catalog.entries(kind)
    ]
    if as_json:
        print_json(rows)
    else:
        header = [key.upper() for key in KEYS]
        print_columns([header, *([row[key] for key in KEYS] for row in rows)])


def status(catalog: Catalog, entry: Entry) -> str:
    """`ok`, or in one line why the entry cannot be used."""
    if entry.problem or entry.distribution == HOME:
        return entry.status
    try:
        with imports():
            catalog.get(entry.kind, entry.name)
    except PluginError as error:
        return " ".join(error.message.split())
    return "ok"
