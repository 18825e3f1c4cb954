"""Answers of a server."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from inferflow_core.errors import EngineError, UsageError
from inferflow_server.client.connection import Reply, Server
from inferflow_server.client.shapes import NO_OBJECT, Piece, Shape
from inferflow_server.conversation.answers import Messages
from inferflow_server.conversation.settings import Settings


class RemoteAnswers:
    """See `Answers`."""

    def __init__(self, server: Server, shape: Shape, *, model: str, stream: bool) -> None:
        self.name = model or server.url
        self.chat = shape.chat
        self.reads_source = False
        self.context: int | None = None
        self._server = server
        self._shape = shape
        self._model = model
        self._stream = stream

    def start(self, messages: Messages, settings: Settings) -> "RemoteAnswer":
        body = self._shape.body(messages, settings, model=self._model, stream=self._stream)
        return RemoteAnswer(self._server.ask(self._shape.path, body), self._shape, self._stream)


class RemoteAnswer:
    """See `Answer`."""

    def __init__(self, reply: Reply, shape: Shape, stream: bool) -> None:
        self.finish: str | None = None
        self.usage: Mapping[str, Any] | None = None
        self._reply = reply
        self._shape = shape
        self._stream = stream
        self._start = time.perf_counter()
        self._first: float | None = None
        self._end = self._start

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces():
            self._end = time.perf_counter()
            self.finish = piece.finish or self.finish
            self.usage = piece.usage or self.usage
            if piece.text:
                self._first = self._first or self._end
                yield piece.text

    def cancel(self) -> None:
        self._reply.close()

    def report(self) -> str:
        usage = self.usage or {}
        first = "no text" if self._first is None else f"{self._first - self._start:.2f} s"
        rest = self._end - (self._first or self._end)
        prompt, tokens = (usage.get(f"{name}_tokens") for name in ("prompt", "completion"))
        later = tokens - 1 if isinstance(tokens, int) else 0
        rate = f", {later / rest:.1f} tokens/s" if later > 0 and rest > 0 else ""
        return (
            f"prompt  {_or_unknown(prompt)} tokens, first text after {first}\n"
            f"answer  {_or_unknown(tokens)} tokens{rate}, finish: {self.finish or 'not told'}"
        )

    def _pieces(self) -> Iterator[Piece]:
        if self._stream:
            yield from self._shape.pieces(self._reply.lines())
        else:
            yield self._shape.whole(_table(self._reply.json()))


def _or_unknown(count: Any) -> str:
    return str(count) if isinstance(count, int) else "?"


def only_model(server: Server) -> str:
    """The name of the one model of a server. Raises UsageError where it has several."""
    data = _table(server.ask("/v1/models").json()).get("data")
    names = [str(card["id"]) for card in data or () if isinstance(card, dict) and "id" in card]
    if not names:
        raise EngineError(f"{server.url} names no model", hint="--model NAME")
    if len(names) > 1:
        shown = ", ".join(names[:20])
        raise UsageError(f"{server.url} has several models", hint=f"--model NAME, of: {shown}")
    return names[0]


def remote_settings() -> Settings:
    """What every server of these routes knows; their defaults are its own."""
    return Settings(dict.fromkeys(("temperature", "top_p", "top_k", "min_p")), languages=True)


def _table(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise EngineError(NO_OBJECT)
    return data
