"""`inferflow spec show MODEL`."""

import click

from inferflow_core.errors import UsageError
from inferflow_core.spec import show, to_json
from inferflow_server.cli.fetch import spec_without_files
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import ModelOptions, json_option, model_argument, model_options
from inferflow_server.cli.output import note, print_json


@click.command("show")
@model_argument
@model_options
@json_option
def command(options: ModelOptions, as_json: bool) -> None:
    """Print the filled spec of MODEL, and where each value comes from.

    The output is itself a spec. Of a family, or a model that is not fetched yet, references stay as
    they are written.

    \b
    Example:
        inferflow spec show checkpoint

    --json prints {"name", "source", "names", "chain", "tables", "origins"}.
    """
    catalog, _ = registered()
    spec = spec_without_files(options, catalog)
    if spec is not None:
        if as_json or options.set or options.backend:
            raise UsageError(
                f"{options.reference} has no checkpoint here: its values are not known",
                hint=f"inferflow pull {options.reference}, or give the checkpoint as the model",
            )
        note("There is no checkpoint here: references are as written.")
        click.echo(show(spec), nl=False)
        return
    network = catalog.get("engine", "continuous").inspect(
        options.reference, catalog=catalog, backend=options.backend, set=options.set
    )
    if as_json:
        print_json(to_json(network.plan))
    else:
        click.echo(show(network.plan), nl=False)
