"""From the events of a batch to an answer: one JSON object, or server-sent events."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Protocol, TypeVar

from starlette.requests import Request as HTTPRequest
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from inferflow_core.errors import InferflowError
from inferflow_core.interfaces import TokenEvent
from inferflow_core.version import __version__
from inferflow_server.http.batch import Batch
from inferflow_server.http.errors import APIError, from_exception

Result = TypeVar("Result")
Object = dict[str, Any]


class Shape(Protocol):
    """How an endpoint writes its choices."""

    prefix: str
    whole_object: str
    chunk_object: str

    def opening(self, index: int) -> Object | None:
        """A choice to send before the first token."""
        ...

    def piece(self, index: int, event: TokenEvent) -> Object | None:
        """The choice of a chunk; None where the event has nothing to tell."""
        ...

    def choice(self, index: int, events: Sequence[TokenEvent]) -> Object: ...


class Answer:
    """An answer's envelope around the choices of a shape."""

    def __init__(self, shape: Shape, batch: Batch, *, model: str, prompts: int, n: int) -> None:
        self._shape = shape
        self._batch = batch
        self._choices = prompts * n
        self._n = n
        self._envelope: Object = {
            "id": f"{shape.prefix}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": f"inferflow-core-{__version__}",
        }

    async def whole(self, request: HTTPRequest) -> Response:
        """The JSON answer; a client that leaves ends the generation."""
        events = await while_connected(request.receive, self._gather())
        if events is None:
            return Response(status_code=499)
        choices = [self._shape.choice(i, events[i]) for i in range(self._choices)]
        body = self._envelope | {"object": self._shape.whole_object, "choices": choices}
        return JSONResponse(body | {"usage": self._usage([each[-1] for each in events])})

    async def _gather(self) -> list[list[TokenEvent]]:
        found: list[list[TokenEvent]] = [[] for _ in range(self._choices)]
        async with aclosing(self._batch.events()) as events:
            async for item in events:
                if item is not None:
                    found[item[0]].append(item[1])
        return found

    def stream(self, *, include_usage: bool) -> "EventStream":
        return EventStream(self._lines(include_usage), self._batch)

    async def _lines(self, include_usage: bool) -> AsyncIterator[str]:
        extra: Object = {"usage": None} if include_usage else {}
        head = self._envelope | {"object": self._shape.chunk_object} | extra
        begin = f'data: {_json(head)[:-1]},"choices":['
        last: dict[int, TokenEvent] = {}
        for index in range(self._choices):
            opening = self._shape.opening(index)
            if opening is not None:
                yield f"{begin}{_json(opening)}]}}\n\n"
        async with aclosing(self._batch.events()) as events:
            async for item in events:
                if item is None:
                    yield ": keep-alive\n\n"
                    continue
                index, event = item
                piece = self._shape.piece(index, event)
                if piece is not None:
                    yield f"{begin}{_json(piece)}]}}\n\n"
                if event.finish is not None:
                    last[index] = event
        if include_usage:
            yield _line(
                head | {"choices": [], "usage": self._usage([last[i] for i in sorted(last)])}
            )
        yield "data: [DONE]\n\n"

    def _usage(self, last: Sequence[TokenEvent]) -> Object:
        """Of the choices' last events. The n choices of a prompt share it: it counts once."""
        prompts = last[:: self._n]
        prompt = sum(event.prompt_tokens for event in prompts)
        completion = sum(event.completion_tokens for event in last)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": sum(e.cached_tokens for e in prompts)},
        }


class EventStream(Response):
    """Lines as they are made, by default server-sent events. An error after the first byte becomes
    the last of them (`last_words`); leaving cancels."""

    def __init__(
        self,
        lines: AsyncIterator[str],
        batch: Batch,
        *,
        media_type: str = "text/event-stream",
        last_words: Callable[[APIError], str] = lambda error: _line(error.body()),
    ) -> None:
        super().__init__(media_type=media_type)
        self._lines = lines
        self._batch = batch
        self._last_words = last_words
        del self.headers["content-length"]
        self.headers["cache-control"] = "no-cache"
        self.headers["x-accel-buffering"] = "no"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_connected(receive, self._write(send))
        except OSError:
            return
        finally:
            self._batch.close()

    async def _write(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        try:
            async for line in self._lines:
                await _send(send, line, more=True)
        except OSError:
            raise
        except Exception as error:
            await _send(send, self._last_words(from_exception(error)), more=True)
            await _send(send, "", more=False)
            if not isinstance(error, APIError | InferflowError):
                raise
        else:
            await _send(send, "", more=False)


async def _send(send: Send, text: str, *, more: bool) -> None:
    body = text.encode("utf-8", "replace")
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def while_connected(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result | None:
    """The result of `work`, which is cancelled if the client leaves first: then None."""
    leaving = asyncio.ensure_future(_left(receive))
    working = asyncio.ensure_future(work)
    try:
        await asyncio.wait((leaving, working), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        leaving.cancel()
        working.cancel()
        await asyncio.gather(leaving, working, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _line(data: Object) -> str:
    return f"data: {_json(data)}\n\n"


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
