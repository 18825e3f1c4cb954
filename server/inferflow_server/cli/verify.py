"""`inferflow verify [REFERENCE]`."""

import click

from inferflow_core import store
from inferflow_core.errors import ModelFileError, SourceError
from inferflow_server.cli.cached import cached
from inferflow_server.cli.options import debug_option, json_option
from inferflow_server.cli.output import note, print_json, printable


@click.command("verify")
@click.argument("references", metavar="[REFERENCE]...", nargs=-1)
@json_option
@debug_option
def command(references: tuple[str, ...], as_json: bool) -> None:
    """Hash the files of models in the cache anew, and compare with what was pulled.

    REFERENCE is one that `inferflow ls` lists, a predefined name or a spec file; without any, all
    that have a list of their files. Ends with 5 if a file has changed or is missing.

    \b
    Examples:
        inferflow verify
        inferflow verify smollm2-135m-instruct

    --json prints {"models": [{"reference", "path", "problems": [TEXT, ...]}]}.
    """
    chosen = cached(references) if references else _whole()
    found = [(one, _problems(one)) for one in chosen]
    if as_json:
        models = [
            {"reference": one.reference, "path": str(one.path), "problems": problems}
            for one, problems in found
        ]
        print_json({"models": models})
    else:
        for one, problems in found:
            click.echo(f"{printable(one.reference)}: {'; '.join(map(printable, problems)) or 'ok'}")
    bad = [one for one, problems in found if problems]
    if bad:
        reference = bad[0].reference
        raise ModelFileError(
            bad[0].path,
            f"is not what was pulled{f', and {len(bad) - 1} more' if len(bad) > 1 else ''}",
            hint=f"inferflow rm {reference}, then pull the model again",
        )


def _whole() -> list[store.Kept]:
    """All that can be compared; those without a manifest are named on stderr."""
    kept = store.kept()
    for one in kept:
        if one.state == "unlisted":
            note(f"{printable(one.reference)}: pulled before there were manifests; not compared")
    return [one for one in kept if one.state in ("complete", "damaged")]


def _problems(one: store.Kept) -> list[str]:
    try:
        return store.verify(one.path)
    except SourceError as error:
        return [error.message]
    except OSError as error:
        return [str(error)]
