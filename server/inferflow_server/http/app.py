"""The server's routes and guards as one ASGI application."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inferflow_core.errors import InferflowError
from inferflow_server.http import info
from inferflow_server.http.chat import chat_completions
from inferflow_server.http.completions import completions
from inferflow_server.http.embeddings import embeddings
from inferflow_server.http.errors import APIError, from_exception
from inferflow_server.http.middleware import HostGuard, KeyGuard, SizeGuard
from inferflow_server.http.native import native
from inferflow_server.http.native_answer import refusal
from inferflow_server.http.service import Service

MAX_BODY = 8 << 20


def build_app(
    service: Service,
    *,
    key: str | None = None,
    hosts: Collection[str] = (),
    max_body: int = MAX_BODY,
) -> Starlette:
    """`key`: asked for everywhere but at /health. `hosts`: names it answers to; none: all."""
    routes = [
        Route("/v1/chat/completions", chat_completions, methods=["POST"]),
        Route("/v1/completions", completions, methods=["POST"]),
        Route("/v1/embeddings", embeddings, methods=["POST"]),
        Route("/v1/models", info.models),
        Route("/v1/models/{name:path}", info.model),
        Route("/", native, methods=["POST"]),
        Route("/health", info.health),
        Route("/ready", info.ready),
    ]
    for more in service.hooks.call("inferflow_http_routes"):
        routes += more
    guards = [Middleware(HostGuard, hosts=hosts)]
    if key is not None:
        guards.append(Middleware(KeyGuard, key=key))
    guards.append(Middleware(SizeGuard, limit=max_body))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        service.close()

    app = Starlette(
        routes=routes,
        middleware=guards,
        exception_handlers={
            HTTPException: _http_error,
            APIError: _error,
            InferflowError: _error,
            Exception: _error,
        },
        lifespan=lifespan,
    )
    app.state.service = service
    return app


async def _error(http: Request, error: Exception) -> Response:
    return refusal(from_exception(error), http.url.path)


async def _http_error(http: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        message = f"Unknown request URL: {http.method} {http.url.path}"
        return APIError(404, message, code="unknown_url").response()
    headers = dict(error.headers or {})
    refused = APIError(error.status_code, error.detail, headers=headers)
    return refusal(refused, http.url.path)
