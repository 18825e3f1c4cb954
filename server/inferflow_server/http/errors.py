"""Errors in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`, always all four."""

from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse

from inferflow_core.errors import EngineError, InferflowError, OverloadedError, RequestError

RETRY_AFTER = {"Retry-After": "1"}


@dataclass
class APIError(Exception):
    """An answer with a status of its own. Raised by endpoints, written by the error handler."""

    status: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def body(self) -> dict[str, Any]:
        keys = ("message", "type", "param", "code")
        return {"error": {key: getattr(self, key) for key in keys}}

    def response(self) -> JSONResponse:
        return JSONResponse(self.body(), self.status, self.headers)


def from_exception(error: BaseException) -> APIError:
    """What the client is told. Causes that are ours, not the request's, stay in the log."""
    match error:
        case APIError():
            return error
        case RequestError():
            return APIError(400, str(error), param=error.param)
        case OverloadedError():
            return APIError(
                *(429, error.message, "overloaded_error"),
                code="overloaded",
                headers=dict(RETRY_AFTER),
            )
        case EngineError():
            return unavailable(error.message)
        case InferflowError():
            return APIError(500, error.message, "server_error")
        case _:
            return APIError(500, "internal error; the server's log says more", "server_error")


def unavailable(message: str) -> APIError:
    """The engine is dead, closing, or was closed under a request."""
    return APIError(*(503, message, "server_error"), code="unavailable", headers=dict(RETRY_AFTER))
