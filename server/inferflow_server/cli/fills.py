"""What `run` does with an encoder, which writes nothing: the best words for each mask."""

from collections.abc import Iterable

import click

from inferflow_core.errors import UsageError
from inferflow_core.interfaces import LoadedModel
from inferflow_server.cli.output import print_columns, printable

EMBED = "inferflow embed MODEL TEXT... gives vectors of texts"


def print_fills(model: LoadedModel, text: str | None, refused: Iterable[str]) -> None:
    """`refused` are options that were given and are about writing. Raises UsageError,
    RequestError."""
    if "mlm" not in model.outputs:
        raise UsageError(f"{model.name} is an encoder: it writes no text", hint=EMBED)
    if text is None:
        message = f"{model.name} is an encoder: it fills masks, and has no conversations"
        raise UsageError(message, hint='give a text with a mask: "Paris is the [MASK] of France."')
    given = ", ".join(refused)
    if given:
        raise UsageError(f"{model.name} is an encoder: {given} is about writing", hint=EMBED)
    for number, mask in enumerate(model.fill_mask(text)):
        if number:
            click.echo()
        print_columns([[f"{fill.probability:.4f}", printable(fill.text)] for fill in mask])
