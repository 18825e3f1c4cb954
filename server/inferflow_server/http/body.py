"""Reading a request's body: its type, its time, its JSON."""

import asyncio
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request

from inferflow_server.http.errors import APIError
from inferflow_server.http.fields import parse

Body = TypeVar("Body", bound=BaseModel)

BODY_TIME_S = 60.0


async def read(http: Request, body_type: type[Body]) -> Body:
    """The checked body. Raises APIError (400, and as `read_raw`)."""
    return parse(body_type, await read_raw(http))


async def read_raw(http: Request) -> bytes:
    """Raises APIError (400, 408, 413 from the middleware, 415).

    The type must be named because a page in a browser can send plain text to a loopback server
    without asking first, but not `application/json`.
    """
    media_type = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise APIError(415, "send the header Content-Type: application/json")
    try:
        async with asyncio.timeout(BODY_TIME_S):
            return await http.body()
    except TimeoutError:
        raise APIError(408, "the body did not arrive in time") from None
    except ClientDisconnect:
        raise APIError(400, "the body ended early") from None
