"""`inferflow spec init PATH`: the smallest spec of a checkpoint, to begin with."""

import json
import os
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from inferflow_core.errors import UnknownEntry, UsageError
from inferflow_core.spec import to_json
from inferflow_server.atomic import replacing
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import debug_option, json_option
from inferflow_server.cli.output import note, print_json, printable
from inferflow_server.cli.placing import Fitted, fitted, key_lines, nearest_that_fits


@click.command("init")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="The file, instead of stdout."
)
@click.option("--family", metavar="NAME", help="The family, instead of the one that is found.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@json_option
@debug_option
def command(path: Path, out: Path | None, family: str | None, force: bool, as_json: bool) -> None:
    """Write the spec that a checkpoint would be used with: a folder, a .gguf or a llama2.c .bin.

    It extends the family that the checkpoint belongs to and names the weights; comments say which
    numbers are taken from where, and which keys of the config nobody read. Nothing is written
    unless every tensor has its place.

    Of a checkpoint of no known family the nearest is tried, or --family NAME. Where it does not
    fit, the answer is what has no place there: tensors, weights of the network, config keys.

    \b
    Examples:
        inferflow spec init checkpoint --out my.toml
        inferflow spec init model.gguf --family llama

    --json prints {"family", "out", "text"}.
    """
    if path.suffix == ".toml":
        raise UsageError(f"{path} is a spec already", hint=f"inferflow spec show {path}")
    if out is not None and out.exists() and not force:
        raise UsageError(f"{out} is there already", hint="--force replaces it")
    catalog, _ = registered()
    if family is not None:
        catalog.entry("spec", family)
    try:
        found = fitted(path, family, catalog)
    except UnknownEntry as unknown:
        found = nearest_that_fits(path, unknown, catalog)
        note(
            f"{unknown.message}\nEvery tensor has its place in {found.family!r}, which is what is "
            "written. Shapes cannot tell whether it computes the same: compare with a reference."
        )
        if found.unread:
            keys = ", ".join(map(printable, found.unread))
            note(f"Keys of the config that it does not read: {keys}")
    text = spec_text(found, _relative(path, out))
    if out is not None:
        with replacing(out) as file:
            file.write(text.encode("utf-8"))
        note(f"Wrote {out}. Next: inferflow check {out}")
    if as_json:
        shown = None if out is None else str(out)
        print_json({"family": found.family, "out": shown, "text": text})
    elif out is None:
        click.echo(text, nl=False)


def _relative(path: Path, out: Path | None) -> str:
    """The path as the spec names it: from the spec's own folder, unless it was given from the
    root."""
    if path.is_absolute() or out is None:
        return path.as_posix()
    return Path(os.path.relpath(path.resolve(), out.resolve().parent)).as_posix()


WIDEST = 80
"""Characters of a value in the column of values; a table of factors is longer and stands out."""


def spec_text(found: Fitted, path: str) -> str:
    kind = found.plan.config.get("model_type")
    lines = [
        f"# Made by `inferflow spec init` for a model of type {kind!r} ({found.plan.source}).",
        "spec    = 1",
        f'extends = "{found.family}"',
        "",
        "[weights]",
        f"path = {json.dumps(path, ensure_ascii=False)}",
        "",
    ]
    if found.no_tokenizer is not None:
        lines += [
            "# There is no tokenizer, so the model takes and gives ids alone:",
            f"# {found.no_tokenizer}",
            "",
        ]
    lines.append(
        "# What the family asks of the checkpoint. `inferflow spec show` prints all values."
    )
    asked = list(_asked(to_json(found.plan)))
    width = max((len(line) for line, _ in asked if len(line) <= WIDEST), default=0)
    lines += [f"# {line:<{width}}  # {origin}" for line, origin in asked]
    if found.unread:
        lines += ["", "# What nobody asked for: does one of these change what is computed?"]
        lines += [f"# {line}" for line in key_lines(found.unread)]
    return "\n".join(lines) + "\n"


def _asked(plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """`path = value` and its origin, for every value that a reference to the config brought. Of the
    layers the first stands for all."""
    for path, origin in plan["origins"].items():
        if "${config." not in origin or _later_layer(path):
            continue
        value: Any = plan["tables"]
        for part in path.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
        yield f"{path.replace('layer.0.', 'layer.')} = {json.dumps(value)}", origin


def _later_layer(path: str) -> bool:
    parts = path.split(".")
    return any(
        name == "layer" and number.isdecimal() and number != "0" for name, number in pairwise(parts)
    )
