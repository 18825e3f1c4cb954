"""`inferflow convert MODEL TARGET`: a model as one file that opens fast."""

import dataclasses
from pathlib import Path

import click

from inferflow_core.errors import UsageError
from inferflow_server.atomic import replacing
from inferflow_server.cli.fetch import fetch
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import ModelOptions, json_option, model_argument, model_options
from inferflow_server.cli.output import note, print_json, progress_bar, size_text


@click.command("convert")
@model_argument
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@model_options
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@json_option
def command(options: ModelOptions, target: Path, force: bool, as_json: bool) -> None:
    """Write MODEL as one file, TARGET, that opens in a fraction of the time.

    Its weights lie in it as the backend's kernels read them, so that opening it is mapping it into
    memory: nothing is packed again, and processes that run the same file share it. Formats and
    numbers stay what they are. Config, spec, tokenizer and chat template are inside; with --set,
    what is set is part of the spec. It opens with every backend, fastest with the one that it was
    written for. TARGET ends in .safetensors and is there whole or not at all.

    \b
    Examples:
        inferflow convert model.gguf model.safetensors
        inferflow convert checkpoint small.safetensors --backend cpu

    --json prints {"model", "target", "name", "backend", "layout", "nbytes", "formats"}.
    """
    if target.suffix != ".safetensors":
        raise UsageError(f"{target}: the name of the file must end in .safetensors")
    if target.exists() and not force:
        raise UsageError(f"{target} is there already", hint="--force replaces it")
    catalog, _ = registered()
    fetch(options, catalog)
    label = f"Writing {target.name}"
    with replacing(target) as file, progress_bar(label, unit="bytes") as progress:
        found = catalog.get("engine", "continuous").convert(
            options.reference,
            file,
            catalog=catalog,
            backend=options.backend,
            set=options.set,
            progress=progress,
        )
    report = dataclasses.asdict(found)
    if as_json:
        print_json({"model": options.reference, "target": str(target), **report})
        return
    for format, count in sorted(found.formats.items(), key=lambda item: -item[1]):
        click.echo(f"{format}: {size_text(count)}")
    note(f"Wrote {target}. Next: inferflow run {target}")
