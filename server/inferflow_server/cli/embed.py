"""`inferflow embed MODEL TEXT…`: a vector for each text."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from inferflow_core.errors import UsageError
from inferflow_server.atomic import replacing
from inferflow_server.cli.model import opened
from inferflow_server.cli.options import ModelOptions, json_option, model_argument, model_options
from inferflow_server.cli.output import note, print_columns, print_json, printable

MAX_PIPED = 8 << 20
KINDS = (".npy", ".jsonl")
SHOWN = 40
"""Characters of a text in a table."""


@click.command("embed")
@model_argument
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@model_options
@click.option("--dimensions", type=click.IntRange(1), help="Only the first so many numbers.")
@click.option("--prompt", "prompt_name", metavar="NAME", help="The model's prompt of this name.")
@click.option("--truncate", is_flag=True, help="Cut texts that are longer than the model reads.")
@click.option("--similarity", is_flag=True, help="Print how near the texts are to each other.")
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the vectors to a .npy or .jsonl file instead.",
)
@json_option
def command(
    options: ModelOptions,
    texts: tuple[str, ...],
    dimensions: int | None,
    prompt_name: str | None,
    truncate: bool,
    similarity: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Print a vector for each TEXT, or for each line that is piped in: its numbers, a line a text.

    Which vector that is, MODEL's folder says (modules.json of sentence-transformers) or its spec
    (the head `embedding`); most are of length 1. --similarity prints the cosines of all pairs
    instead: 1 is the same direction. --dimensions keeps the beginning of each vector, at the length
    of the whole, for models that were trained for that. A text that is too long is an error unless
    --truncate is given.

    A .npy file is float32 [texts, width]; a .jsonl file has {"text", "embedding"} a line. A file is
    there whole or not at all.

    \b
    Examples:
        inferflow embed all-minilm-l6-v2 "A man is eating." "Someone has dinner." --similarity
        ls | inferflow embed all-minilm-l6-v2 --output vectors.npy

    --json prints {"model", "dimensions", "embeddings", "similarity"}; each of the embeddings has
    "text", "tokens" and "embedding"; "similarity" is null unless it is asked for.
    """
    if output is not None and output.suffix not in KINDS:
        raise UsageError(f"--output {output}: write a name that ends in {' or '.join(KINDS)}")
    texts = texts or read_lines()
    with opened(options) as (model, _):
        ids = model.text_ids(texts, prompt=prompt_name, truncate=truncate)
        vectors = model.embed(ids, dimensions=dimensions)
        name = model.name
    cosines = _cosines(vectors) if similarity else None
    if output is not None:
        _write(output, texts, vectors)
        note(f"{output}: {len(vectors)} x {vectors.shape[1]}")
    if as_json:
        print_json(
            {
                "model": name,
                "dimensions": vectors.shape[1],
                "embeddings": [
                    {"text": text, "tokens": len(own), "embedding": vector.tolist()}
                    for text, own, vector in zip(texts, ids, vectors, strict=True)
                ],
                "similarity": None if cosines is None else cosines.tolist(),
            }
        )
    elif cosines is not None:
        rows = zip(texts, cosines.tolist(), strict=True)
        print_columns([[f"{cosine:.3f}" for cosine in row] + [_shown(text)] for text, row in rows])
    elif output is None:
        for vector in vectors:
            click.echo(" ".join(f"{number:.6g}" for number in vector.tolist()))


def read_lines() -> tuple[str, ...]:
    """What is piped in, a text a line. Raises UsageError where there is nothing."""
    piped = "" if sys.stdin.isatty() else sys.stdin.read(MAX_PIPED + 1)
    if len(piped) > MAX_PIPED:
        raise UsageError(f"more than {MAX_PIPED} characters are piped in")
    if not piped.strip():
        raise UsageError("there is no text", hint="write texts after the model, or pipe lines in")
    return tuple(piped.removesuffix("\n").split("\n"))


def _cosines(vectors: Any) -> Any:
    """[n, n], of vectors [n, width]."""
    import numpy as np

    exact = vectors.astype(np.float64)
    units = exact / np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), 1e-12)
    return units @ units.T


def _write(path: Path, texts: Sequence[str], vectors: Any) -> None:
    with replacing(path) as file:
        if path.suffix == ".npy":
            import numpy as np

            np.save(file, vectors)
            return
        for text, vector in zip(texts, vectors, strict=True):
            line = {"text": text, "embedding": vector.tolist()}
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


def _shown(text: str) -> str:
    text = printable(text)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
