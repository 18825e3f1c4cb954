"""`inferflow plan MODEL`: will it fit?"""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import click

from inferflow_core.errors import FindingError, UsageError
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import ModelOptions, json_option, model_argument, model_options
from inferflow_server.cli.output import columns, print_json, size_text

UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
BINARY_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?) ?(?:([kmgt])(i?)b?|b?)", re.IGNORECASE)


@click.command("plan")
@model_argument
@model_options
@click.option("--context", type=click.IntRange(1), help="Longest sequence; default: the spec's.")
@click.option("--batch", type=click.IntRange(1), help="Whole sequences of the context at once.")
@click.option("--memory", metavar="SIZE", help="What if so much were free: 8GB, 16GiB, bytes.")
@click.option("--graph", is_flag=True, help="Print the traced graph, equal layers once, instead.")
@json_option
def command(
    options: ModelOptions,
    context: int | None,
    batch: int | None,
    memory: str | None,
    graph: bool,
    as_json: bool,
) -> None:
    """Tell how much memory MODEL will take, and what fits, before anything is loaded.

    Weights by format, as the file has them and as the backend will hold them; the cache for a
    token, for a sequence of the whole context, and as large as the engine will make it (with
    --batch: for so many whole sequences); and room for a step, an estimate from above. Reads
    no weights and fetches nothing. Ends with exit code 8 where it will not fit.

    \b
    Examples:
        inferflow plan model.gguf
        inferflow plan model.gguf --context 1024 --batch 8 --memory 4GB
        inferflow plan checkpoint --graph

    --json prints the report either way: {"model", "name", "backend", "parameters", "context",
    "trained_context", "batch", "weights", "weight_bytes", "cache_token_bytes",
    "source_token_bytes", "cache_sequence_bytes", "cache_tokens", "cache_bytes", "scratch_bytes",
    "needed_bytes", "free_bytes", "largest_context", "largest_batch", "fits", "verdict"}, with
    --graph "graph" too. Sizes are bytes, lengths tokens; "free_bytes" and the largest are null
    where the system does not tell what is free.
    """
    free = None if memory is None else parse_size(memory)
    catalog, _ = registered()
    settings = () if context is None else (f"run.context={context}",)
    found = catalog.get("engine", "continuous").plan_memory(
        options.reference,
        catalog=catalog,
        backend=options.backend,
        set=(*options.set, *settings),
        batch=batch,
        memory=free,
    )
    report = {"model": options.reference, "batch": batch, **dataclasses.asdict(found)}
    traced = report.pop("graph")
    report["verdict"] = _verdict(report)
    if as_json:
        print_json(report | ({"graph": traced} if graph else {}))
    elif graph:
        click.echo(traced)
        return
    else:
        click.echo("\n".join(_lines(report)))
    if not report["fits"]:
        raise FindingError(report["verdict"], hint=_help(report))


def parse_size(text: str) -> int:
    """`8GB`, `16 GiB`, `512m`, `1000000` -> bytes. Raises UsageError."""
    found = SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--memory {text[:40]!r}: write a size as in 8GB, 16GiB or 8000000000")
    number, letter, binary = found[1], (found[2] or "").lower(), found[3]
    return int(float(number) * (BINARY_UNITS if binary else UNITS)[letter])


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield f"{report['name']}: {report['parameters']:,} parameters, context {report['context']}"
    yield f"backend: {report['backend']}"
    yield ""
    rows = [["weights", "params", "bytes in the file", "held as", "bytes held"]]
    for one in report["weights"]:
        sizes = [size_text(one[key]) for key in ("file_bytes", "bytes")]
        rows.append([f"  {one['format']}", str(one["params"]), sizes[0], one["held"], sizes[1]])
    yield from columns(rows)
    yield ""
    yield from columns(
        [
            ["weights", size_text(report["weight_bytes"]), ""],
            [
                *("cache", size_text(report["cache_bytes"])),
                f"{report['cache_tokens']:,} tokens; {size_text(report['cache_token_bytes'])} a "
                f"token, {_source(report)}{size_text(report['cache_sequence_bytes'])} a sequence "
                f"of {report['context']}",
            ],
            ["scratch", size_text(report["scratch_bytes"]), "at most: an estimate"],
            ["needed", size_text(report["needed_bytes"]), ""],
            ["free", _free(report), ""],
        ]
    )
    yield ""
    if report["largest_context"] is not None:
        own = report["trained_context"]
        note = f" (the model's own context: {own})" if own else ""
        yield f"largest context of one sequence: {report['largest_context']:,} tokens{note}"
        yield f"largest batch at {report['context']} tokens: {report['largest_batch']:,} sequences"
    yield report["verdict"]


def _verdict(report: dict[str, Any]) -> str:
    needed, free = size_text(report["needed_bytes"]), _free(report)
    if report["free_bytes"] is None:
        return f"needs {needed}; this system does not tell what is free"
    if report["fits"]:
        return f"it fits: {needed} of {free}"
    return f"it will not fit: {needed} are needed, {free} are free"


def _help(report: dict[str, Any]) -> str | None:
    """What would make it fit."""
    if report["largest_batch"]:
        asked = report["batch"]
        tokens = report["largest_batch"] * report["context"]
        smaller = f"--batch {report['largest_batch']}"
        return f"{smaller} fits" if asked else f"--set run.cache_tokens={tokens} fits"
    if report["largest_context"]:
        return f"--context {report['largest_context']} fits, for one sequence"
    if report["weight_bytes"] < report["free_bytes"]:
        return "the weights fit; --set run.step_tokens=32 makes scratch smaller"
    return "a model of fewer parameters or fewer bits, or a backend that keeps them packed (cpu)"


def _source(report: dict[str, Any]) -> str:
    """What an encoder's tokens take: there are as many as the decoder's."""
    size = report["source_token_bytes"]
    return f"{size_text(size)} a token of its source, " if size else ""


def _free(report: dict[str, Any]) -> str:
    return "unknown" if report["free_bytes"] is None else size_text(report["free_bytes"])
