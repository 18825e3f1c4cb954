"""The text of single tokens, for logprobs."""

from typing import Any

from inferflow_core.interfaces import TokenEvent, Tokenizer


def text_of(tokenizer: Tokenizer, token: int) -> str:
    """As it stands inside a text: the decoder has seen a token, so no leading space is lost."""
    decoder = tokenizer.stream(skip_special=False, prompt=(token,))
    return decoder.push(token) + decoder.flush()


def entry(tokenizer: Tokenizer, token: int, logprob: float) -> dict[str, Any]:
    """OpenAI's `token`, `logprob` and `bytes` (null for a part of a character)."""
    text = text_of(tokenizer, token)
    raw = None if "\N{REPLACEMENT CHARACTER}" in text else list(text.encode("utf-8"))
    return {"token": text, "logprob": logprob, "bytes": raw}


def is_listed(event: TokenEvent) -> bool:
    """Whether an event's token belongs to the answer: a stop token does not."""
    return event.token is not None and event.logprob is not None and event.finish != "stop"
