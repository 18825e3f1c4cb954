"""POST /: the original C++ engine's own route."""

from starlette.requests import Request as HTTPRequest
from starlette.responses import JSONResponse, Response

from inferflow_core.errors import InferflowError, TemplateError
from inferflow_core.interfaces import LoadedModel, Request
from inferflow_server.http.body import read_raw
from inferflow_server.http.errors import APIError, from_exception
from inferflow_server.http.fields import parse
from inferflow_server.http.native_answer import (
    MEDIA_TYPE,
    PATH,
    Clock,
    Object,
    line,
    lines,
    refusal,
    whole,
)
from inferflow_server.http.native_body import NativeBody
from inferflow_server.http.prompt_template import template_ids
from inferflow_server.http.respond import EventStream, while_connected
from inferflow_server.http.service import Service

MAX_BYTES = 1_000_000
DEFAULT_TOKENS = 1024
"""Both are the original's; less where the context is shorter."""


async def native(http: HTTPRequest) -> Response:
    """Every answer ends with an object that has `is_end` and `ret_code`, errors too."""
    clock = Clock()
    try:
        return await _answer(http, clock)
    except (APIError, InferflowError) as error:
        return refusal(from_exception(error), PATH, clock)


async def _answer(http: HTTPRequest, clock: Clock) -> Response:
    service: Service = http.app.state.service
    raw = await read_raw(http)
    if len(raw) > MAX_BYTES:
        raise APIError(413, f"the body is larger than {MAX_BYTES} bytes")
    body = parse(NativeBody, raw)
    if body.function() == "get_stat":
        return JSONResponse(clock.last(stat=_statistics(service)))
    service.check_writes()
    sampling = body.sampling(service.chain)
    wanted = body.most_tokens()
    ids = await _prompt(service, body)
    room = service.room(len(ids), wanted, "text")
    batch = service.start(
        [
            Request(
                ids=tuple(ids),
                max_tokens=room if wanted else min(room, DEFAULT_TOKENS),
                sampling=sampling,
                seed=body.seed(),
            )
        ],
        "text",
    )
    prefix = body.res_prefix or ""
    if body.streams():
        return EventStream(
            lines(batch, clock, prefix),
            batch,
            media_type=MEDIA_TYPE,
            last_words=lambda error: line(clock.failure(error)),
        )
    answer = await while_connected(http.receive, whole(batch, clock, prefix))
    return Response(status_code=499) if answer is None else JSONResponse(answer)


def _statistics(service: Service) -> Object:
    engine = service.model.engine
    stats = engine.stats()
    return {
        "model": service.model.name,
        "backend": service.model.backend_choice,
        "context": engine.context,
        "max_sequences": engine.max_sequences,
        "running": stats.running,
        "waiting": stats.waiting,
        "cache_pages": stats.pages,
        "free_cache_pages": stats.free_pages,
        "source_pages": stats.source_pages,
        "free_source_pages": stats.free_source_pages,
        "steps": stats.steps,
        "alive": stats.alive,
        "started": service.created,
    }


async def _prompt(service: Service, body: NativeBody) -> list[int]:
    if body.encoder_input_template:
        raise APIError(
            400,
            f"{service.model.name} is a decoder alone; encoder_input_template is for models with "
            "an encoder",
            param="encoder_input_template",
        )
    if not body.text:
        raise APIError(400, "the text is missing or empty", param="text", code="empty_request")
    parts = (body.text, body.system_prompt, body.res_prefix, body.decoder_input_template)
    service.check_length(sum(len(part or "") for part in parts), "text")
    try:
        ids = await service.in_thread(prompt_ids, service.model, body)
    except TemplateError as error:
        raise APIError(400, str(error), param="text") from error
    if not ids:
        raise APIError(400, "the text has no tokens", param="text", code="empty_request")
    return ids


def prompt_ids(model: LoadedModel, body: NativeBody) -> list[int]:
    """By the request's template, else by the model's chat template, else the text as it is.
    `res_prefix` comes last: the answer goes on from it. Raises APIError, TemplateError."""
    text, system, prefix = body.text or "", body.system_prompt or "", body.res_prefix or ""
    tokenizer = model.tokenizer
    if body.decoder_input_template:
        return template_ids(
            body.decoder_input_template,
            tokenizer,
            query=text,
            system_prompt=system,
            res_prefix=prefix,
        )
    if tokenizer.chat_template is None:
        if system:
            raise APIError(
                400,
                f"{model.name} has no chat template, so a system_prompt has no place; give a "
                "decoder_input_template with {system_prompt}",
                param="system_prompt",
            )
        return tokenizer.encode(text + prefix)
    messages = [{"role": "system", "content": system}] if system else []
    ids = model.render([*messages, {"role": "user", "content": text}])
    return ids + (tokenizer.encode(prefix, special=False) if prefix else [])
