"""`inferflow run MODEL [PROMPT]`: one answer, as it is made, or a conversation."""

import sys
from collections.abc import Mapping
from typing import Any

import click

from inferflow_core.errors import EngineError, UsageError
from inferflow_core.interfaces import LoadedModel, Prompt, Request
from inferflow_server.answer_text import write_answer
from inferflow_server.cli.fills import print_fills
from inferflow_server.cli.model import opened
from inferflow_server.cli.options import (
    ModelOptions,
    language_options,
    model_argument,
    model_options,
)
from inferflow_server.cli.output import note
from inferflow_server.speed import Stopwatch

MAX_PIPED = 8 << 20


@click.command("run")
@model_argument
@click.argument("prompt", required=False)
@model_options
@click.option("--raw", is_flag=True, help="Continue the text, without the chat template.")
@click.option("--system", help="What the model is told first (chat only).")
@language_options
@click.option("--max-tokens", type=click.IntRange(1), help="At most; default: what fits.")
@click.option("--temperature", type=click.FloatRange(0), help="0 takes the likeliest token.")
@click.option("--top-k", type=click.IntRange(0), help="Only the K likeliest; 0: all.")
@click.option(
    "--top-p", type=click.FloatRange(0, 1), help="Only the likeliest that make up P together."
)
@click.option(
    "--min-p", type=click.FloatRange(0, 1), help="Only what has P of the likeliest's probability."
)
@click.option("--seed", type=int, help="Makes the answer repeatable.")
@click.option("--stop", multiple=True, metavar="TEXT", help="Ends the answer before TEXT.")
@click.option("--no-history", is_flag=True, help="Do not remember what is typed (conversation).")
@click.option("--stats", is_flag=True, help="Print speed on stderr: load, prompt, answer.")
def command(
    options: ModelOptions,
    prompt: str | None,
    raw: bool,
    system: str | None,
    source_language: str | None,
    target_language: str | None,
    max_tokens: int | None,
    seed: int | None,
    stop: tuple[str, ...],
    no_history: bool,
    stats: bool,
    **sampling: float | None,
) -> None:
    """Answer PROMPT in the terminal; without PROMPT what is piped in, else have a conversation.

    MODEL is a predefined name, a spec file, a checkpoint folder, a .gguf or a llama2.c .bin. The
    answer goes to stdout, all else to stderr. A model with a chat template is asked as in a chat;
    --raw continues the text instead, and so does a model without a template. An encoder-decoder
    writes what it makes of PROMPT: a translation, by languages that are named. What is not given
    is the spec's.

    An encoder writes nothing: PROMPT is a text with a mask ([MASK]), and the five best words for it
    are printed with their probabilities.

    In a conversation, what was said before is part of each question. /help lists its commands,
    Ctrl-C stops an answer, Ctrl-D ends it. What is typed is remembered for the arrow keys, in the
    user's state folder.

    \b
    Example:
        inferflow run model.gguf "Why is the sky blue?" --max-tokens 40
        echo "Why is the sky blue?" | inferflow run model.gguf --max-tokens 40
        inferflow run model.gguf
        inferflow run translator "the sky is blue" --source-language en --target-language fr
    """
    text = read_prompt(prompt)
    languages = {"source_language": source_language, "target_language": target_language}
    with opened(options) as (model, load_s):
        if "logits" not in model.outputs:
            about_writing = {"raw": raw, "system": system, "max-tokens": max_tokens, "seed": seed}
            about_writing |= {"stop": stop or None, "stats": stats, **languages, **sampling}
            given = [name for name, value in about_writing.items() if value not in (None, False)]
            print_fills(model, text, [f"--{name.replace('_', '-')}" for name in given])
            return
        if text is None:
            from inferflow_server.conversation.local import LocalAnswers, settings_of
            from inferflow_server.conversation.start import converse

            converse(
                LocalAnswers(model, load_s=load_s, raw=raw),
                settings_of(model),
                given={**sampling, "max_tokens": max_tokens, "seed": seed, **languages},
                stop=stop,
                system=system,
                history=not no_history,
                stats=stats,
            )
            return
        begins = _prompt(model, text, system, raw, languages)
        room = model.engine.context - len(begins.ids)
        request = Request(
            ids=begins.ids,
            source=begins.source,
            max_tokens=max(1, room if max_tokens is None else min(max_tokens, room)),
            sampling={name: value for name, value in sampling.items() if value is not None},
            seed=seed,
            stop=stop,
        )
        watch = _print(model, request)
        if stats:
            note(watch.footer(load_s))


def read_prompt(given: str | None) -> str | None:
    """What is given, else what is piped in; None at a terminal. Raises UsageError."""
    if given is not None or sys.stdin.isatty():
        return given
    text = sys.stdin.read(MAX_PIPED + 1)
    if len(text) > MAX_PIPED:
        raise UsageError(f"the prompt is longer than {MAX_PIPED} characters")
    return text.removesuffix("\n")


def _prompt(
    model: LoadedModel,
    text: str,
    system: str | None,
    raw: bool,
    languages: Mapping[str, Any],
) -> Prompt:
    if raw or not has_template(model):
        if system is not None:
            raise UsageError("--system needs a chat template; this is a plain completion")
        return model.prompt(text, **languages)
    messages = [{"role": "system", "content": system}] if system is not None else []
    return model.prompt([*messages, {"role": "user", "content": text}], **languages)


def has_template(model: LoadedModel) -> bool:
    return model.tokenizer.chat_template is not None


def _print(model: LoadedModel, request: Request) -> Stopwatch:
    """Writes the answer; gives its times."""
    watch = Stopwatch()
    stream = model.engine.submit(request)
    try:
        for event in stream:
            watch.see(event)
            write_answer(event.text)
            if event.finish == "error":
                raise EngineError(event.error or "the generation failed")
            if event.finish is not None:
                sys.stdout.write("\n")
                return watch
    finally:
        stream.cancel()
    raise EngineError("the answer has no end")
