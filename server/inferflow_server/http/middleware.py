"""Guards around every route, as plain ASGI."""

import hmac
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inferflow_server.http.errors import APIError
from inferflow_server.http.native_answer import refusal


class HostGuard:
    """Answers only to the names it was started under.

    A page whose domain was made to point at 127.0.0.1 would otherwise talk to a loopback server
    as if it were its own (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._hosts:
            host = Headers(scope=scope).get("host", "").lower()
            name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
            if name not in self._hosts:
                error = APIError(421, "this server does not answer to that host name")
                return await refusal(error, scope["path"])(scope, receive, send)
        await self._app(scope, receive, send)


class KeyGuard:
    """Asks for the API key everywhere but at /health."""

    def __init__(self, app: ASGIApp, *, key: str) -> None:
        self._app = app
        self._expected = f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != "/health":
            given = Headers(scope=scope).get("authorization", "").encode("latin-1")
            if not hmac.compare_digest(given, self._expected):
                error = APIError(
                    *(401, "a valid API key is needed: Authorization: Bearer KEY"),
                    code="invalid_api_key",
                    headers={"WWW-Authenticate": "Bearer"},
                )
                return await refusal(error, scope["path"])(scope, receive, send)
        await self._app(scope, receive, send)


class SizeGuard:
    """Refuses bodies larger than `limit` bytes, declared or not."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdecimal() or int(declared[:20]) > self._limit:
            return await refusal(self._too_large(), scope["path"])(scope, receive, send)
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise self._too_large()
            return message

        await self._app(scope, counted, send)

    def _too_large(self) -> APIError:
        return APIError(413, f"the body is larger than {self._limit} bytes")
