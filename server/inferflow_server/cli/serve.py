"""`inferflow serve MODEL`."""

import asyncio
import json
import sys
from typing import Any

import click

from inferflow_core.errors import UsageError
from inferflow_core.interfaces import LoadedModel, Multilingual
from inferflow_server.cli.model import opened, registered
from inferflow_server.cli.options import ModelOptions, model_argument, model_options
from inferflow_server.cli.output import note


@click.command("serve")
@model_argument
@model_options
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--api-key",
    envvar="INFERFLOW_API_KEY",
    show_envvar=True,
    help="Asked for on every route but /health. The variable keeps it out of the process list.",
)
@click.option("--allow-host", multiple=True, help="A further host name it answers to.")
@click.option(
    "--drain",
    type=click.FloatRange(0),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="How long answers under way may take after a signal to stop.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the ready line as JSON on stdout.")
def command(
    options: ModelOptions,
    host: str,
    port: int,
    api_key: str | None,
    allow_host: tuple[str, ...],
    drain: float,
    as_json: bool,
) -> None:
    """Serve MODEL over HTTP with OpenAI's routes.

    Stops on Ctrl-C or SIGTERM: answers that are under way may finish within --drain seconds.
    A second signal cancels at once.

    When it is ready it prints its URL, the context, how many sequences run at once, how many tokens
    the cache holds, and a curl line to paste.

    \b
    Example:
        inferflow serve model.gguf --port 8000

    --json prints the ready line on stdout as one line of JSON: {"url", "model", "context",
    "sequences", "cache_tokens"}.
    """
    from inferflow_server.http.app import build_app
    from inferflow_server.http.server import LOOPBACK_NAMES, Server, is_loopback, listen, url
    from inferflow_server.http.service import Service

    if api_key is not None and not (api_key.isascii() and api_key.isprintable() and api_key):
        raise UsageError("the API key must be printable ASCII, and not empty")
    if not is_loopback(host) and api_key is None:
        note(f"Warning: {host} can be reached from other machines, and no --api-key is set")
    catalog, hooks = registered()
    with listen(host, port) as bound, opened(options, catalog) as (model, _):
        note(f"Backend: {model.backend_choice}")
        model.tokenizer  # noqa: B018  a model without one must fail here, not at each request
        address = url(host, bound)
        service = Service(model, hooks)
        hosts = (*LOOPBACK_NAMES, host, *allow_host) if is_loopback(host) or allow_host else ()
        server = Server(
            build_app(service, key=api_key, hosts=hosts),
            service,
            drain_s=drain,
            on_ready=lambda: _ready(model, address, api_key is not None, as_json),
        )
        hooks.call("inferflow_engine_started", model=model)
        asyncio.run(server.serve([bound]))


def _example(model: LoadedModel) -> tuple[str, dict[str, Any]]:
    """A route and a body that this model answers."""
    if "logits" not in model.outputs:
        return "/v1/embeddings", {"input": ["Hello!"]}
    tokenizer = model.tokenizer
    if tokenizer.chat_template is not None:
        return "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello!"}]}
    languages = tokenizer.languages if isinstance(tokenizer, Multilingual) else {}
    target = next((name for name in languages if name.startswith("fr")), next(iter(languages), ""))
    named = {"target_language": target} if model.reads_source and target else {}
    return "/v1/completions", {"prompt": "Hello!", **named}


def _ready(model: LoadedModel, address: str, needs_key: bool, as_json: bool) -> None:
    facts = {
        "url": address,
        "model": model.name,
        "context": model.engine.context,
        "sequences": model.engine.max_sequences,
        "cache_tokens": model.engine.stats().pages * model.plan.run.page_tokens,
    }
    if as_json:
        click.echo(json.dumps(facts))
        sys.stdout.flush()
        return
    route, body = _example(model)
    data = json.dumps({"model": model.name, **body})
    key = '-H "Authorization: Bearer $INFERFLOW_API_KEY" ' if needs_key else ""
    note(
        "Ready: {model} at {url} · context {context} tokens · {sequences} sequences at once · "
        "cache of {cache_tokens} tokens".format(**facts)
    )
    note(f"curl {address}{route} {key}-H 'Content-Type: application/json' -d '{data}'")
