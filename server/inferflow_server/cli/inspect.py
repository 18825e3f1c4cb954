"""`inferflow inspect MODEL`: what a model is made of."""

from pathlib import Path
from typing import Any

import click

from inferflow_core.errors import SourceError, TemplateError, UsageError
from inferflow_server.atomic import replacing
from inferflow_server.cli.fetch import spec_without_files
from inferflow_server.cli.inspect_passes import show_passes
from inferflow_server.cli.inspect_text import description_text, outline_text
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import ModelOptions, json_option, model_argument, model_options
from inferflow_server.cli.output import note, print_json
from inferflow_server.cli.spec_outline import outline
from inferflow_server.drawing.network import picture


@click.command("inspect")
@model_argument
@model_options
@click.option("--tensors", is_flag=True, help="List every tensor.")
@click.option("--template", is_flag=True, help="Print the chat template and nothing else.")
@click.option(
    "--graph",
    metavar="FILE.svg",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the network into this file instead.",
)
@click.option("--passes", is_flag=True, help="List what its backend's passes do to its graph.")
@click.option("--pass", "one", metavar="NAME", help="Print the graph before and after this pass.")
@json_option
def command(
    options: ModelOptions,
    tensors: bool,
    template: bool,
    graph: Path | None,
    passes: bool,
    one: str | None,
    as_json: bool,
) -> None:
    """Show what MODEL is made of, without reading its weights.

    The network as a tree (equal layers folded; behind a block's name its entry in the catalog, and
    the fields that are no defaults), its tensors and their formats, the tokenizer, the chat
    template, and the keys of the checkpoint's config that nobody read. Nothing is fetched.

    Of a family, or a model that is not fetched yet, what its spec says is shown. A file that no
    spec matches, or whose tensors do not fit, is shown as far as it goes; the latter is an error.

    --passes lists the passes that rewrite its graph for the backend that would run it, and --pass
    prints the graph before and after one, as lines of ops. `--set run.skip_passes=[…]` leaves some
    out, here and in every command that runs a model.

    --graph writes a picture for a browser or a page: layers that come again folded, each with its
    inner wiring, fields, shapes and counts. It takes the place of a file that is there.

    \b
    Examples:
        inferflow inspect model.gguf
        inferflow inspect checkpoint --tensors
        inferflow inspect model.gguf --template
        inferflow inspect checkpoint --graph network.svg
        inferflow inspect model.gguf --passes
        inferflow inspect model.gguf --pass fuse_gates --backend cpu

    --json prints all of it: {"model", "complete", "name", "path", "source", "spec", "chain",
    "names", "context", "parameters", "network", "tensors", "formats", "tokenizer",
    "chat_templates", "config", "unread_config", "problem"}. "bytes" of a tensor are those that the
    loader gives, "bits" of a format its bytes for each number. With --passes it prints {"backend",
    "passes": [{"pass", "skipped", "ops", "what"}]}, ops of repeated layers counted once; with
    --pass {"backend", "pass", "before", "after"}.
    """
    if graph is not None and graph.suffix.lower() != ".svg":
        raise UsageError(
            f"--graph {graph}: a picture is written as SVG",
            hint=f"--graph {graph.with_suffix('.svg')}; a browser opens it, and prints it as PDF",
        )
    catalog, _ = registered()
    spec = spec_without_files(options, catalog)
    if spec is not None and (passes or one is not None or graph is not None):
        raise SourceError(
            f"{options.reference} is not here, and a spec alone has no numbers to draw",
            hint=f"inferflow pull {options.reference}",
        )
    if spec is not None:
        report = {"model": options.reference, "complete": False} | outline(spec)
        note("There is no checkpoint here: this is what the spec says.")
        print_json(report) if as_json else click.echo(outline_text(report))
        return
    engine = catalog.get("engine", "continuous")
    if passes or one is not None:
        found = engine.rewrites(
            options.reference, catalog=catalog, backend=options.backend, set=options.set
        )
        show_passes(found, catalog, name=one, as_json=as_json)
        return
    found = engine.describe(
        options.reference, catalog=catalog, backend=options.backend, set=options.set
    )
    report = {"model": options.reference, "complete": found.trouble is None} | found.report
    if as_json:
        print_json(report)
    elif template:
        click.echo(_template(report))
    elif graph is None:
        click.echo(description_text(report, tensors=tensors))
    if found.unknown:
        note(f"{found.trouble.message} So there is no network to show.")
    elif found.trouble is not None:
        raise found.trouble
    elif graph is not None:
        with replacing(graph) as file:
            file.write(picture(report).encode("utf-8"))
        note(f"Wrote {graph}.")


def _template(report: dict[str, Any]) -> str:
    templates: dict[str, str] = report["chat_templates"]
    if "default" not in templates:
        others = f" (but: {', '.join(templates)})" if templates else ""
        raise TemplateError(
            f"{report['model']} has no chat template{others}",
            hint='[tokenizer] chat = "…" in a spec gives it one',
        )
    return templates["default"]
