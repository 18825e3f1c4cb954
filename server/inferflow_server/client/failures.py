"""What a server's refusals mean here."""

import json
from typing import Any

from inferflow_core.errors import EngineError, InferflowError, OverloadedError, RequestError
from inferflow_server.answer_text import visible
from inferflow_server.conversation.answers import TooLong

MAX_TEXT = 1000
KEY_HINT = "--api-key KEY, or the variable INFERFLOW_API_KEY"


def failure(status: int, body: bytes, *, location: str | None = None) -> InferflowError:
    """The error of an HTTP answer that is no success, in OpenAI's shape, the native one or none."""
    if 300 <= status < 400:
        where = visible(location or "elsewhere")[:MAX_TEXT]
        return RequestError(f"the server points to {where}; give that URL, if you trust it")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    message, code = told(data)
    if not message:
        message = f"the server answered {status}"
    if status == 401:
        return RequestError(message, hint=KEY_HINT)
    if status == 429:
        return OverloadedError(message, hint="try again later")
    if status >= 500:
        return EngineError(message)
    if code in ("context_length_exceeded", "error.too_long_request"):
        return TooLong(message)
    return RequestError(message)


def told(data: Any) -> tuple[str, str]:
    """Message and code of an error object, each empty where there is none."""
    if not isinstance(data, dict):
        return "", ""
    error = data.get("error", data)
    if not isinstance(error, dict):
        return _text(error), ""
    message = error.get("message") or error.get("error_text")
    return _text(message), _text(error.get("code") or error.get("ret_code"))


def raise_if_failed(data: Any) -> None:
    """For objects inside an answer whose status was success."""
    message, code = told(data)
    if isinstance(data, dict) and "error" in data:
        raise EngineError(message or "the answer failed")
    if code.startswith("error."):
        busy, broken = code == "error.busy", code == "error.processing"
        kind = OverloadedError if busy else EngineError if broken else RequestError
        raise kind(message or f"the server answered {code}")


def _text(value: Any) -> str:
    return visible(value)[:MAX_TEXT] if isinstance(value, str) else ""
