"""`inferflow eval perplexity MODEL --file F`."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inferflow_core.errors import UsageError
from inferflow_server.cli.model import opened
from inferflow_server.cli.options import ModelOptions, json_option, model_argument, model_options
from inferflow_server.cli.output import print_json, print_pairs, progress_bar

if TYPE_CHECKING:
    import numpy as np


@click.command("perplexity")
@model_argument
@model_options
@click.option(
    "--file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The text, UTF-8.",
)
@click.option(
    "--window", type=click.IntRange(4), default=512, show_default=True, help="Tokens of a window."
)
@click.option("--windows", type=click.IntRange(1), help="Only the first N windows.")
@json_option
def command(
    options: ModelOptions, file: Path, window: int, windows: int | None, as_json: bool
) -> None:
    """Perplexity of MODEL on a text.

    Disjoint windows from the start of the text, without BOS; targets are the tokens of each
    window's second half (257 … 511 of 512), and the last partial window is dropped.

    \b
    Example:
        inferflow eval perplexity model.gguf --file text.txt --window 512

    --json prints {"perplexity", "nll", "tokens", "windows", "window", "seconds", "model"};
    "tokens" counts targets.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read as UTF-8 text: {error}") from error
    with opened(options) as (model, _):
        if model.reads_source:
            raise UsageError(
                "a text has a perplexity where a model goes on with it; this one writes "
                "what it makes of a source",
                hint="inferflow eval logits --source gives the logits of a target",
            )
        ids = model.tokenizer.encode(text, special=False)
        parts = cut(ids, window, windows)
        if not parts:
            raise UsageError(f"{file} has {len(ids)} tokens; a window has {window}")
        if window > model.engine.context:
            raise UsageError(f"--window {window} is beyond the context, {model.engine.context}")
        start = time.perf_counter()
        losses: list[float] = []
        with progress_bar("Perplexity", unit="windows") as progress:
            for part in parts:
                losses += target_losses(model.logits([part])[0], part)
                progress(len(losses) // (window - window // 2 - 1), len(parts))
        seconds = time.perf_counter() - start
    report = summary(losses) | {
        "windows": len(parts),
        "window": window,
        "seconds": seconds,
        "model": model.name,
    }
    if as_json:
        print_json(report)
    else:
        print_pairs(report)


def cut(ids: Sequence[int], window: int, most: int | None) -> list[Sequence[int]]:
    """Disjoint whole windows from the start."""
    count = len(ids) // window
    return [ids[i * window : (i + 1) * window] for i in range(min(count, most or count))]


def target_losses(logits: "np.ndarray[Any, Any]", ids: Sequence[int]) -> list[float]:
    """-log p of the tokens at window//2 + 1 … window - 1: [length, vocab] and ids -> floats.

    The token at window//2 is left out: the row that predicts it belongs to the first half.
    """
    import numpy as np

    first = len(ids) // 2
    rows = logits[first:-1].astype(np.float64)
    rows -= rows.max(axis=-1, keepdims=True)
    norms = np.log(np.exp(rows).sum(axis=-1))
    targets = np.asarray(ids[first + 1 :])
    return (norms - rows[np.arange(len(targets)), targets]).tolist()


def summary(losses: Sequence[float]) -> dict[str, Any]:
    import math

    nll = math.fsum(losses) / len(losses)
    return {"perplexity": math.exp(nll), "nll": nll, "tokens": len(losses)}
