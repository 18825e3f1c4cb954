"""`inferflow client [URL] [PROMPT]`: asks a running server."""

import re
from collections.abc import Mapping
from typing import Any

import click

from inferflow_core.errors import UsageError
from inferflow_server.answer_text import write_answer
from inferflow_server.cli.options import debug_option, json_option, language_options
from inferflow_server.cli.output import note, print_json, print_pairs
from inferflow_server.cli.run import read_prompt
from inferflow_server.client.connection import Server
from inferflow_server.client.remote import RemoteAnswers, only_model, remote_settings
from inferflow_server.client.shapes import SHAPES
from inferflow_server.conversation.start import converse, give

DEFAULT_URL = "http://127.0.0.1:8000"


@click.command("client")
@click.argument("url", required=False)
@click.argument("prompt", required=False)
@click.option(
    "--api", type=click.Choice(list(SHAPES)), default="chat", show_default=True, help="The route."
)
@click.option("--model", help="The model's name; default: the only one of the server.")
@click.option("--system", help="What the model is told first (not with completions).")
@language_options
@click.option("--max-tokens", type=click.IntRange(1), help="At most; default: the server's.")
@click.option("--temperature", type=click.FloatRange(0), help="0 takes the likeliest token.")
@click.option("--seed", type=int, help="Makes the answer repeatable.")
@click.option("--no-stream", is_flag=True, help="Ask for the answer in one piece.")
@click.option("--api-key", envvar="INFERFLOW_API_KEY", help="What the server asks for.")
@click.option(
    "--timeout",
    type=click.FloatRange(1),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="How long the server may say nothing.",
)
@click.option("--stat", is_flag=True, help="Print the server's statistics instead (native route).")
@click.option("--stats", is_flag=True, help="Print speed on stderr.")
@click.option("--no-history", is_flag=True, help="Do not remember what is typed (conversation).")
@json_option
@debug_option
def command(
    url: str | None,
    prompt: str | None,
    api: str,
    model: str | None,
    system: str | None,
    no_stream: bool,
    api_key: str | None,
    timeout: float,
    stat: bool,
    stats: bool,
    no_history: bool,
    as_json: bool,
    **given: float | str | None,
) -> None:
    """Ask a running server; without PROMPT what is piped in, else have a conversation.

    URL begins with http:// or https://; without it, the server is the one of this machine at port
    8000. The answer goes to stdout as it comes, all else to stderr. With --json it is one object,
    with what the server told of its end and its tokens.

    \b
    Example:
        inferflow client http://127.0.0.1:8000 "Why is the sky blue?" --max-tokens 40
        inferflow client http://127.0.0.1:8000 "Once upon a time" --api completions --json
        inferflow client http://127.0.0.1:8000 --stat
    """
    if url is not None and prompt is None and not re.match(r"\w+://", url):
        url, prompt = None, url
    server = Server(url or DEFAULT_URL, key=api_key, timeout_s=timeout)
    if stat:
        _statistics(server, as_json)
        return
    text = read_prompt(prompt)
    if text is None and as_json:
        raise UsageError("--json is for one answer: give a prompt, or pipe one in")
    name = model or ("" if api == "native" else only_model(server))
    shape = SHAPES[api]
    answers = RemoteAnswers(server, shape, model=name, stream=not (no_stream or as_json))
    settings = remote_settings()
    if text is None:
        history = not no_history
        converse(answers, settings, given=given, system=system, history=history, stats=stats)
        return
    give(settings, given)
    messages = [{"role": "system", "content": system}] if system else []
    answer = answers.start([*messages, {"role": "user", "content": text}], settings)
    said: list[str] = []
    try:
        for piece in answer:
            said.append(piece)
            if not as_json:
                write_answer(piece)
    finally:
        answer.cancel()
    if as_json:
        head = {"url": server.url, "api": api, "model": name or None, "text": "".join(said)}
        print_json(head | {"finish_reason": answer.finish, "usage": answer.usage})
    else:
        write_answer("\n")
    if stats:
        note(answer.report())


def _statistics(server: Server, as_json: bool) -> None:
    data: Any = server.ask("/", {"header": {"fn": "get_stat"}}).json()
    stat = data.get("stat") if isinstance(data, Mapping) else None
    if not isinstance(stat, Mapping):
        raise UsageError(f"{server.url} gives no statistics: is it an Inferflow server?")
    if as_json:
        print_json(stat)
    else:
        print_pairs(stat)
