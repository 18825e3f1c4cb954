"""POST /v1/embeddings: a vector for each text or list of ids."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from inferflow_core.errors import RequestError
from inferflow_server.http.body import read
from inferflow_server.http.errors import APIError
from inferflow_server.http.fields import EmbeddingBody
from inferflow_server.http.respond import while_connected
from inferflow_server.http.service import Service

MAX_TOKENS = 300_000
"""Of one request, all inputs together: OpenAI's."""


async def embeddings(http: HTTPRequest) -> Response:
    service: Service = http.app.state.service
    body = await read(http, EmbeddingBody)
    service.check_model(body.model)
    if "embedding" not in service.model.outputs:
        raise APIError(
            400,
            f"{body.model} writes text and gives no embeddings: ask /v1/chat/completions or "
            "/v1/completions, or serve an encoder",
            param="model",
        )
    body.check_names()
    answer = await while_connected(http.receive, _answer(service, body))
    if answer is None:
        return Response(status_code=499)
    return Response(answer, media_type="application/json")


async def _answer(service: Service, body: EmbeddingBody) -> bytes:
    """Raises APIError."""
    inputs = body.inputs()
    if not body.truncate():
        for text in inputs:
            service.check_length(len(text) if isinstance(text, str) else 0, "input")
    try:
        ids = await service.in_thread(_ids, service, body, inputs)
        total = sum(map(len, ids))
        if total > MAX_TOKENS:
            message = f"the inputs have {total} tokens together; at most {MAX_TOKENS} are possible"
            raise APIError(400, message, param="input")
        parts = [part async for part in service.embed(ids, body.dimensions)]
    except RequestError as error:
        param = "input" if error.param == "ids" else error.param
        raise APIError(400, str(error), param=param) from error
    return await service.in_thread(_written, body, parts, total)


def _ids(
    service: Service, body: EmbeddingBody, inputs: Sequence[str | Sequence[int]]
) -> list[list[int]]:
    return service.model.text_ids(inputs, prompt=body.prompt_name, truncate=body.truncate())


def _written(body: EmbeddingBody, parts: Sequence[Any], total: int) -> bytes:
    """The answer's JSON. base64 is of little-endian float32."""
    vectors = (vector for part in parts for vector in part.astype("<f4"))
    coded = body.encoding_format == "base64"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.tobytes()).decode() if coded else vector.tolist(),
        }
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": total, "total_tokens": total}
    answer = {"object": "list", "data": data, "model": body.model, "usage": usage}
    return json.dumps(answer, separators=(",", ":")).encode()
