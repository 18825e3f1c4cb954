"""Answers of the native route: JSON objects with the original engine's keys and ret_codes."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from starlette.responses import JSONResponse, Response

from inferflow_server.http.batch import Batch
from inferflow_server.http.errors import APIError

PATH = "/"
MEDIA_TYPE = "application/x-ndjson"

Object = dict[str, Any]


class Clock:
    """`time_cost`: seconds since the request came."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def last(self, text: str = "", ret_code: str = "succ", **more: Any) -> Object:
        """The last or only object of an answer."""
        seconds = round(time.perf_counter() - self._start, 6)
        return {"text": text, "ret_code": ret_code, **more, "time_cost": seconds, "is_end": 1}

    def failure(self, error: APIError) -> Object:
        return self.last(ret_code=ret_code(error), error_text=error.message)


def ret_code(error: APIError) -> str:
    """The original's word for what went wrong."""
    if error.code == "context_length_exceeded" or error.status == 413:
        return "error.too_long_request"
    if error.code == "empty_request":
        return "error.empty_request"
    if error.status == 429:
        return "error.busy"
    return "error.processing" if error.status >= 500 else "error.invalid_request_format"


def refusal(error: APIError, path: str, clock: Clock | None = None) -> Response:
    """An error in the shape of the route that was asked: the native one's, or OpenAI's."""
    if path != PATH:
        return error.response()
    return JSONResponse((clock or Clock()).failure(error), error.status, error.headers)


async def whole(batch: Batch, clock: Clock, prefix: str) -> Object:
    """`prefix` begins the answer: it is part of its text."""
    text = prefix
    async with aclosing(batch.events()) as events:
        async for item in events:
            text += item[1].text if item else ""
    return clock.last(text)


async def lines(batch: Batch, clock: Clock, prefix: str) -> AsyncIterator[str]:
    """An object for each piece of text; the last one has the `ret_code`. Silence is filled with
    empty lines."""
    if prefix:
        yield line({"text": prefix})
    async with aclosing(batch.events()) as events:
        async for item in events:
            if item is None:
                yield "\n"
            elif item[1].finish is not None:
                yield line(clock.last(item[1].text))
            elif item[1].text:
                yield line({"text": item[1].text})


def line(data: Object) -> str:
    return json.dumps(data, ensure_ascii=False) + "\n\n"
