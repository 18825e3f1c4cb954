"""`inferflow spec init PATH`: the smallest spec of a checkpoint, to begin with."""

import json
import os
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from inferflow_core.catalog import Catalog
from inferflow_core.errors import InferflowError, UnknownEntry, UsageError
from inferflow_core.spec import Plan, to_json
from inferflow_server.atomic import replacing
from inferflow_server.cli.model import registered
from inferflow_server.cli.nearest_families import nearest_families
from inferflow_server.cli.options import debug_option, json_option
from inferflow_server.cli.output import note, print_json


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
    numbers are taken from where. Nothing is written unless every tensor has its place. Of a
    checkpoint of no known family, --family NAME says which tensors and keys have none there.

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
    engine = catalog.get("engine", "continuous")
    if family is not None:
        catalog.entry("spec", family)
    forced = {} if family is None else {"set": [f"weights.path={json.dumps(str(path))}"]}
    try:
        network = engine.inspect(family or str(path), catalog=catalog, **forced)
    except UnknownEntry as error:
        raise UnknownEntry(error.message, hint=_families(catalog, path)) from error
    text = _text(network.plan, _relative(path, out), _no_tokenizer(engine, path, family, catalog))
    if out is not None:
        with replacing(out) as file:
            file.write(text.encode("utf-8"))
        note(f"Wrote {out}. Next: inferflow check {out}")
    if as_json:
        shown = None if out is None else str(out)
        print_json({"family": network.plan.chain[0], "out": shown, "text": text})
    elif out is None:
        click.echo(text, nl=False)


def _families(catalog: Catalog, path: Path) -> str:
    """What can be tried where no family is found."""
    near = nearest_families(path, catalog)
    counts = ", ".join(f"{name} {known} of {total}" for name, known, total in near) or "none"
    first = near[0][0] if near else "NAME"
    return (
        f"tensors whose names a family knows: {counts}. "
        f"inferflow spec init {path} --family {first} says which have no place"
    )


def _relative(path: Path, out: Path | None) -> str:
    """The path as the spec names it: from the spec's own folder, unless it was given from the
    root."""
    if path.is_absolute() or out is None:
        return path.as_posix()
    return Path(os.path.relpath(path.resolve(), out.resolve().parent)).as_posix()


def _no_tokenizer(engine: Any, path: Path, family: str | None, catalog: Catalog) -> str | None:
    """Why text cannot go in or out, where it cannot."""
    forced = {} if family is None else {"set": [f"weights.path={json.dumps(str(path))}"]}
    try:
        engine.tokenizer(family or str(path), catalog=catalog, **forced)
    except InferflowError as error:
        return " ".join(error.message.split())
    return None


def _text(plan: Plan, path: str, no_tokenizer: str | None) -> str:
    kind = plan.config.get("model_type")
    lines = [
        f"# Made by `inferflow spec init` for a model of type {kind!r} ({plan.source}).",
        "spec    = 1",
        f'extends = "{plan.chain[0]}"',
        "",
        "[weights]",
        f"path = {json.dumps(path, ensure_ascii=False)}",
        "",
    ]
    if no_tokenizer is not None:
        lines += [
            "# There is no tokenizer, so the model takes and gives ids alone:",
            f"# {no_tokenizer}",
            "",
        ]
    lines.append(
        "# What the family asks of the checkpoint. `inferflow spec show` prints all values."
    )
    width = max((len(line) for line, _ in _asked(to_json(plan))), default=0)
    lines += [f"# {line:<{width}}  # {origin}" for line, origin in _asked(to_json(plan))]
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
