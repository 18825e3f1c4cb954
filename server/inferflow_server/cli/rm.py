"""`inferflow rm REFERENCE`."""

import sys
from collections.abc import Sequence

import click

from inferflow_core import store
from inferflow_core.errors import SourceError, UsageError
from inferflow_server.cli.cached import cached
from inferflow_server.cli.options import debug_option, json_option
from inferflow_server.cli.output import note, print_json, printable, size_text


@click.command("rm")
@click.argument("references", metavar="[REFERENCE]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every model of the cache.")
@click.option("--stale", is_flag=True, help="What pulls left that were broken off.")
@click.option("--yes", "-y", is_flag=True, is_eager=True, help="Remove without asking.")
@json_option
@debug_option
# --yes is eager, and so no setting (settings.py): one that was meant for fetching removes nothing.
def command(
    references: tuple[str, ...], everything: bool, stale: bool, yes: bool, as_json: bool
) -> None:
    """Remove models from the cache.

    REFERENCE is one that `inferflow ls` lists, a predefined name or a spec file. It asks first,
    unless --yes is typed; no setting says it. What another process is fetching is left alone.

    \b
    Example:
        inferflow rm --stale --yes

    \b
    What is named, after asking:
        inferflow rm smollm2-135m-instruct

    --json prints {"removed": [REFERENCE, ...], "bytes"}.
    """
    if bool(references) + everything + stale != 1:
        raise UsageError(
            "name what to remove: references, or --all, or --stale", hint="inferflow ls"
        )
    if references:
        doomed = cached(references)
    else:
        doomed = [one for one in store.kept() if everything or one.state == "incomplete"]
    if doomed and not yes:
        _ask(doomed)
    removed: list[store.Kept] = []
    for one in doomed:
        try:
            store.remove(one.path)
        except SourceError as error:
            if references:
                raise
            note(error.message)
        else:
            removed.append(one)
    nbytes = sum(one.nbytes for one in removed)
    if as_json:
        print_json({"removed": [one.reference for one in removed], "bytes": nbytes})
    else:
        note(f"Removed {len(removed)}, {size_text(nbytes)}")


def _ask(doomed: Sequence[store.Kept]) -> None:
    """Raises UsageError where nobody can answer, and click.Abort where the answer is no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("nobody is here to say yes to removing", hint="--yes says it")
    for one in doomed:
        note(f"{printable(one.reference)}  {size_text(one.nbytes)}")
    click.confirm("Remove it?" if len(doomed) == 1 else "Remove them?", err=True, abort=True)
