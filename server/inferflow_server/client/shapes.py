"""The three ways to ask: paths, bodies, and how answers are read."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from inferflow_core.errors import EngineError, UsageError
from inferflow_server.client.failures import raise_if_failed
from inferflow_server.conversation.answers import Messages
from inferflow_server.conversation.settings import Settings

NO_OBJECT = "the server sent something else than JSON objects"


@dataclass(frozen=True)
class Piece:
    text: str
    finish: str | None = None
    usage: Mapping[str, Any] | None = None


class Shape(Protocol):
    path: str
    chat: bool
    """Whether it takes a conversation; else one text."""

    def body(self, messages: Messages, settings: Settings, *, model: str, stream: bool) -> Any:
        """Raises UsageError for what it has no place for."""
        ...

    def whole(self, data: Any) -> Piece: ...

    def pieces(self, lines: Iterable[str]) -> Iterator[Piece]:
        """Raises EngineError where the stream ends before the answer does."""
        ...


class OpenAI:
    def __init__(self, *, chat: bool) -> None:
        self.chat = chat
        self.path = "/v1/chat/completions" if chat else "/v1/completions"

    def body(self, messages: Messages, settings: Settings, *, model: str, stream: bool) -> Any:
        body: dict[str, Any] = {"model": model, **settings.sampling, **settings.languages}
        if self.chat:
            if settings.languages:
                raise UsageError("chats tell no languages", hint="--api completions has them")
            body["messages"] = list(messages)
        else:
            body["prompt"] = messages[-1]["content"]
            _no_system(messages, "completions")
        if settings.max_tokens is not None:
            body["max_tokens"] = settings.max_tokens
        if settings.stop:
            body["stop"] = list(settings.stop)
        if settings.seed is not None:
            body["seed"] = settings.seed
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def whole(self, data: Any) -> Piece:
        piece = self._piece(data)
        if piece is None:
            raise EngineError("the server's answer has no choice")
        return piece

    def pieces(self, lines: Iterable[str]) -> Iterator[Piece]:
        for line in lines:
            field, _, value = line.strip().partition(":")
            if field != "data":
                continue
            if value.strip() == "[DONE]":
                return
            piece = self._piece(_object(value))
            if piece is not None:
                yield piece
        raise EngineError("the answer broke off")

    def _piece(self, data: Any) -> Piece | None:
        """Of an answer or a chunk of one; a chunk may be there for its usage alone."""
        raise_if_failed(data)
        choices, usage = data.get("choices"), data.get("usage")
        choice = _table(choices[0]) if isinstance(choices, list) and choices else {}
        if not choice and usage is None:
            return None
        holder = _table(choice.get("message") or choice.get("delta")) if self.chat else choice
        text, finish = holder.get("content" if self.chat else "text"), choice.get("finish_reason")
        return Piece(
            text if isinstance(text, str) else "",
            finish if isinstance(finish, str) else None,
            None if usage is None else _table(usage),
        )


class Native:
    """The original engine's: one text, no history."""

    path = "/"
    chat = False

    def body(self, messages: Messages, settings: Settings, *, model: str, stream: bool) -> Any:
        if settings.stop:
            raise UsageError("the native route has no stop texts")
        if settings.seed == 0:
            raise UsageError("to the native route the seed 0 means another one each time")
        body: dict[str, Any] = {"text": messages[-1]["content"], "is_streaming_mode": stream}
        body |= settings.sampling | settings.languages
        if messages[0]["role"] == "system":
            body["system_prompt"] = messages[0]["content"]
        if settings.max_tokens is not None:
            body["max_output_len"] = settings.max_tokens
        if settings.seed is not None:
            body["random_seed"] = settings.seed
        return body

    def whole(self, data: Any) -> Piece:
        raise_if_failed(data)
        text = data.get("text")
        return Piece(text if isinstance(text, str) else "")

    def pieces(self, lines: Iterable[str]) -> Iterator[Piece]:
        for line in filter(str.strip, lines):
            data = _object(line)
            yield self.whole(data)
            if data.get("is_end"):
                return
        raise EngineError("the answer broke off")


def _object(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise EngineError(NO_OBJECT)
    return data


def _table(data: Any) -> dict[str, Any]:
    """Absent is the same as empty."""
    if data is not None and not isinstance(data, dict):
        raise EngineError(NO_OBJECT)
    return data or {}


def _no_system(messages: Messages, api: str) -> None:
    if messages[0]["role"] == "system":
        raise UsageError(f"a system text has no place in {api}", hint="--api chat has one")


SHAPES: Mapping[str, Shape] = {
    "chat": OpenAI(chat=True),
    "completions": OpenAI(chat=False),
    "native": Native(),
}
