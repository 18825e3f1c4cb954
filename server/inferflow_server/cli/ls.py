"""`inferflow ls`."""

import click

from inferflow_core import store
from inferflow_core.cache import cache_dir
from inferflow_server.cli.options import debug_option, json_option
from inferflow_server.cli.output import note, print_columns, print_json, printable, size_text

HEADER = ["REFERENCE", "SIZE", "PULLED", "STATE"]


@click.command("ls")
@json_option
@debug_option
def command(as_json: bool) -> None:
    """List the models in the cache.

    A model is complete, or damaged (files are missing or of another size than when it was pulled;
    `inferflow verify` reads them whole), or unlisted: pulled by an older version that kept no list
    of files. What a pull left that was broken off, or that is under way, is incomplete: the next
    pull of it goes on from there, and `inferflow rm --stale` removes it.

    \b
    Example:
        inferflow ls

    --json prints {"cache", "models": [{"reference", "state", "bytes", "pulled", "path"}]}; "pulled"
    is a time in UTC, or null.
    """
    found = store.kept()
    if as_json:
        models = [
            {"reference": one.reference, "state": one.state}
            | {"bytes": one.nbytes, "pulled": one.pulled, "path": str(one.path)}
            for one in found
        ]
        print_json({"cache": str(cache_dir()), "models": models})
        return
    rows = [
        [printable(one.reference), size_text(one.nbytes), (one.pulled or "")[:16], one.state]
        for one in found
    ]
    if rows:
        print_columns([HEADER, *rows])
    note(f"{size_text(sum(one.nbytes for one in found))} in {cache_dir()}")
