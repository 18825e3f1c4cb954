"""GET /health, /ready, /v1/models and /v1/models/{id}."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from inferflow_core.interfaces import Multilingual
from inferflow_server.http.errors import unavailable
from inferflow_server.http.service import Service


async def health(http: Request) -> Response:
    """Whether the engine lives. Says nothing about the model, since it asks for no key."""
    service: Service = http.app.state.service
    if service.health():
        return JSONResponse({"status": "error"}, 503)
    return JSONResponse({"status": "ok"})


async def ready(http: Request) -> Response:
    """Whether a request sent now would be taken."""
    service: Service = http.app.state.service
    problem = "the server is shutting down" if service.draining else service.health()
    if problem:
        raise unavailable(problem)
    stats = service.model.engine.stats()
    return JSONResponse({"status": "ready", "running": stats.running, "waiting": stats.waiting})


async def models(http: Request) -> Response:
    return JSONResponse({"object": "list", "data": [_card(http.app.state.service)]})


async def model(http: Request) -> Response:
    service: Service = http.app.state.service
    service.check_model(http.path_params["name"])
    return JSONResponse(_card(service))


def _card(service: Service) -> dict[str, Any]:
    """`languages`: of a model that translates, the names that a request may give."""
    tokenizer = service.model.tokenizer if service.model.reads_source else None
    languages = [*tokenizer.languages] if isinstance(tokenizer, Multilingual) else []
    return {
        "id": service.model.name,
        "object": "model",
        "created": service.created,
        "owned_by": "inferflow",
        "context_length": service.model.engine.context,
        **({"languages": languages} if languages else {}),
    }
