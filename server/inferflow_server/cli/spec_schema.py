"""`inferflow spec schema`."""

import json
from pathlib import Path

import click

from inferflow_server.atomic import replacing
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import debug_option
from inferflow_server.cli.output import note
from inferflow_server.cli.schema import schema


@click.command("schema")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="The file, instead of stdout."
)
@debug_option
def command(out: Path | None) -> None:
    """Print the JSON Schema (2020-12) of spec files, made from the plugins that are installed.

    Editors complete and check specs by it. A spec names its schema in its first line:

    \b
        #:schema ./inferflow.schema.json

    A plugin that cannot be imported is left out with a note. What only a checkpoint can tell, and
    where references lead, a schema cannot say: `inferflow check` does.

    \b
    Examples:
        inferflow spec schema --out inferflow.schema.json
        inferflow spec schema
    """
    text = json.dumps(schema(registered()[0], note), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        click.echo(text, nl=False)
        return
    with replacing(out) as file:
        file.write(text.encode("utf-8"))
    note(f"Wrote {out}")
