"""`inferflow tokenize MODEL [TEXT]`: a text as the model's tokens, or ids as a text."""

import sys
from typing import Any

import click

from inferflow_core.errors import UsageError, nearest
from inferflow_core.interfaces import Multilingual, Tokenizer
from inferflow_server.cli.fetch import fetch
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import ModelOptions, json_option, model_argument, model_options
from inferflow_server.cli.output import print_json

MAX_PIPED = 8 << 20


@click.command("tokenize")
@model_argument
@click.argument("prompt", metavar="[TEXT]", required=False)
@model_options
@click.option("--ids", "ids_only", is_flag=True, help="Print the ids alone: 1,2,3.")
@click.option("--decode", metavar="IDS", help="Print the text of IDS (1,2,3; - reads them).")
@click.option("--no-special", is_flag=True, help="Without the tokens around a text (BOS, EOS …).")
@click.option("--parse-special", is_flag=True, help="Read special tokens that TEXT spells out.")
@click.option("--language", metavar="NAME", help="TEXT as a source of this language.")
@click.option("--chat", is_flag=True, help="TEXT as a user's message, by the chat template.")
@json_option
def command(
    options: ModelOptions,
    prompt: str | None,
    ids_only: bool,
    decode: str | None,
    no_special: bool,
    parse_special: bool,
    language: str | None,
    chat: bool,
    as_json: bool,
) -> None:
    """Print TEXT, or what is piped in, as the tokens of MODEL: their ids, texts and number.

    Opens the tokenizer and no weights. Of what is piped in, one line end at its end is dropped. A
    token's text is the vocabulary's own, so a leading space may look like ▁ or Ġ. A translation
    model has --language: what goes around a text then says which one it is.

    \b
    Examples:
        inferflow tokenize model.gguf "Hello world"
        inferflow tokenize model.gguf --chat "Hello" --ids
        inferflow tokenize model.gguf --decode 42,71,78,78,81

    --json prints {"model", "count", "ids", "tokens"}; with --decode, "text" too.
    """
    if decode is not None and (prompt is not None or chat or parse_special or ids_only):
        raise UsageError("--decode takes ids and no text; only --no-special and --json go with it")
    if chat and (no_special or parse_special):
        raise UsageError("--chat: the template says which special tokens there are")
    if language is not None and (decode is not None or no_special or parse_special or chat):
        raise UsageError("--language puts tokens around a text: only --ids and --json go with it")
    ids = None if decode is None else parse_ids(_piped() if decode == "-" else decode)
    text = "" if ids is not None else _piped() if prompt is None else prompt
    catalog, _ = registered()
    fetch(options, catalog)
    tokenizer: Tokenizer = catalog.get("engine", "continuous").tokenizer(
        options.reference, catalog=catalog, backend=options.backend, set=options.set
    )
    report: dict[str, Any] = {"model": options.reference}
    if ids is None:
        if language is not None:
            ids = _encode_in(tokenizer, text, language)
        else:
            ids = _encode(tokenizer, text, special=not no_special, parse=parse_special, chat=chat)
    else:
        _check(ids, tokenizer.vocab_size)
        report["text"] = tokenizer.decode(ids, skip_special=no_special)
    tokens = [tokenizer.token(id) for id in ids]
    if as_json:
        print_json(report | {"count": len(ids), "ids": ids, "tokens": tokens})
    elif "text" in report:
        click.echo(report["text"])
    elif ids_only:
        click.echo(",".join(map(str, ids)))
    else:
        for id, token in zip(ids, tokens, strict=True):
            click.echo(f"{id:>7}  {token!r}")
        click.echo(f"{len(ids)} token{'s' if len(ids) != 1 else ''}")


def _encode(
    tokenizer: Tokenizer, text: str, *, special: bool, parse: bool, chat: bool
) -> list[int]:
    if not chat:
        return tokenizer.encode(text, special=special, parse_special=parse)
    return tokenizer.encode_chat([{"role": "user", "content": text}])


def _encode_in(tokenizer: Tokenizer, text: str, language: str) -> list[int]:
    if not isinstance(tokenizer, Multilingual) or not tokenizer.languages:
        raise UsageError("this model's tokenizer tells no languages: no --language")
    if language not in tokenizer.languages:
        known = ", ".join(tokenizer.languages)
        near = nearest(language, tokenizer.languages)
        raise UsageError(f"--language {language[:80]!r}: not known.{near}", hint=f"known: {known}")
    return tokenizer.encode_in(text, language)


def parse_ids(text: str) -> list[int]:
    """`1,2,3` or `1 2 3`. Raises UsageError."""
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise UsageError(f"--decode {text[:60]!r}: write numbers as in 1,2,3") from None


def _check(ids: list[int], size: int) -> None:
    for id in ids:
        if not 0 <= id < size:
            raise UsageError(f"token id {id} is outside of the vocabulary, 0 to {size - 1}")


def _piped() -> str:
    if sys.stdin.isatty():
        raise UsageError("no text is given", hint='inferflow tokenize MODEL "…", or pipe one in')
    try:
        text = sys.stdin.read(MAX_PIPED + 1)
    except UnicodeDecodeError as error:
        raise UsageError(f"what is piped in is not UTF-8: {error}") from None
    if len(text) > MAX_PIPED:
        raise UsageError(f"what is piped in is longer than {MAX_PIPED} characters")
    return text.removesuffix("\n")
