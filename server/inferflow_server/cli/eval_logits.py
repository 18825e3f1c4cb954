"""`inferflow eval logits MODEL --ids … --out x.npz`."""

from pathlib import Path
from typing import Any

import click

from inferflow_core.errors import UsageError
from inferflow_server.atomic import replacing
from inferflow_server.cli.model import opened
from inferflow_server.cli.options import ModelOptions, json_option, model_argument, model_options
from inferflow_server.cli.output import note, print_json


@click.command("logits")
@model_argument
@model_options
@click.option("--ids", required=True, metavar='"1,2,3;4,5"', help="Sequences of token ids.")
@click.option(
    "--source", metavar='"4,5;6"', help="What an encoder-decoder reads, for each sequence."
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write.",
)
@json_option
def command(options: ModelOptions, ids: str, source: str | None, out: Path, as_json: bool) -> None:
    """Write the logits of token ids to OUT, a numpy .npz.

    It has logits_0, logits_1 … float32 [length, vocab], one for each sequence, and ids_0, ids_1 …
    The file is there whole or not at all.

    \b
    Example:
        inferflow eval logits model.gguf --ids "1,2,3;4,5" --out logits.npz
        inferflow eval logits translator --source "56,21,22,2" --ids "2,55" --out logits.npz

    --json prints {"out", "shapes"}.
    """
    sequences = parse_ids(ids)
    sources = None if source is None else parse_ids(source, "--source")
    with opened(options) as (model, _):
        import numpy as np

        logits = model.logits(sequences, encoder=sources)
        arrays: dict[str, Any] = {f"logits_{i}": each for i, each in enumerate(logits)}
        arrays |= {f"ids_{i}": np.array(each, np.int32) for i, each in enumerate(sequences)}
        with replacing(out) as file:
            np.savez(file, **arrays)
        shapes = [list(each.shape) for each in logits]
    if as_json:
        print_json({"out": str(out), "shapes": shapes})
    else:
        note(f"{out}: {', '.join(f'{rows} x {vocab}' for rows, vocab in shapes)}")


def parse_ids(text: str, option: str = "--ids") -> list[list[int]]:
    """`1,2,3;4,5` -> [[1, 2, 3], [4, 5]]. Raises UsageError."""
    try:
        sequences = [[int(id) for id in part.split(",")] for part in text.split(";")]
    except ValueError:
        raise UsageError(f"{option} {text[:60]!r}: write numbers as in 1,2,3;4,5") from None
    return sequences
