"""Templates of the native route: a prompt with keys in braces, as token ids."""

import re
from collections.abc import Mapping

from inferflow_core.errors import nearest
from inferflow_core.interfaces import Tokenizer
from inferflow_server.http.errors import APIError

QUERY = ("query", "question", "_query", "_question")
PREFIX = ("res_prefix", "answer")
KEYS = (*QUERY, *PREFIX, "system_prompt", "bos", "eos", "\\n")

_KEY = re.compile(r"\{([^{}]+)\}")


class Wrong(Exception):
    """Says what is wrong with a template, after its name."""


def template_ids(
    template: str,
    tokenizer: Tokenizer,
    *,
    field: str,
    query: str,
    system_prompt: str,
    res_prefix: str,
    wanted: bool = True,
) -> list[int]:
    """The template's ids, and at their end those of `res_prefix`. `field` is its name; `wanted`:
    query and system prompt must be in it.

    {query} = {question}, {_query} = {_question} (after a space), {system_prompt}, {res_prefix} =
    {answer} (the template ends there), {\\n}; {bos}, {eos}, {#123} and any {TOKEN} of the
    vocabulary are single tokens. What stands between single tokens is tokenized as one text, in
    which nothing is a special token. Raises APIError.
    """
    texts = {
        **dict.fromkeys(("query", "question"), query),
        **dict.fromkeys(("_query", "_question"), " " + query),
        **{"system_prompt": system_prompt, "\\n": "\n", "\n": "\n"},
    }
    try:
        return _ids(template, tokenizer, texts, res_prefix, wanted)
    except Wrong as wrong:
        raise APIError(400, f"{field} {wrong}", param=field) from None


def _ids(
    template: str, tokenizer: Tokenizer, texts: Mapping[str, str], res_prefix: str, wanted: bool
) -> list[int]:
    *parts, last = _KEY.split(_before_prefix(template))
    keys = parts[1::2]
    if wanted and not set(keys) & set(QUERY):
        raise Wrong("needs {query} or {_query}")
    if wanted and texts["system_prompt"] and "system_prompt" not in keys:
        raise Wrong("has no {system_prompt}, so the system_prompt of the request would be lost")
    ids: list[int] = []
    run = ""
    for literal, key in zip(parts[::2], keys, strict=True):
        run += literal
        if key in texts:
            run += texts[key]
        else:
            ids += [*_encode(tokenizer, run), _token(tokenizer, key)]
            run = ""
    return ids + _encode(tokenizer, run + last + res_prefix)


def _before_prefix(template: str) -> str:
    """Up to {res_prefix}, after which nothing may come: the answer goes on there."""
    for key in PREFIX:
        before, found, after = template.partition(f"{{{key}}}")
        if found and after:
            raise Wrong(f"goes on after {{{key}}}, where the answer begins")
        template = before
    return template


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, special=False) if text else []


def _token(tokenizer: Tokenizer, key: str) -> int:
    named: Mapping[str, int | None] = {"bos": tokenizer.bos, "eos": tokenizer.eos}
    if key in named:
        id = named[key]
        if id is None:
            raise Wrong(f"has {{{key}}}, and this model has no such token")
        return id
    if re.fullmatch(r"#[0-9]{1,9}", key):
        if int(key[1:]) < tokenizer.vocab_size:
            return int(key[1:])
        raise Wrong(f"has {{{key}}}, and the vocabulary ends at {tokenizer.vocab_size - 1}")
    # Vocabularies of SentencePiece write a space so.
    for token in (key, key.replace(" ", "▁")):
        id = tokenizer.token_id(token)
        if id is not None:
            return id
    raise Wrong(f"has {{{key[:80]}}}, which is neither a key nor a token.{nearest(key, KEYS)}")
