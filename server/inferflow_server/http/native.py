"""POST /: the original C++ engine's own route."""

from dataclasses import replace
from typing import Any

from starlette.requests import Request as HTTPRequest
from starlette.responses import JSONResponse, Response

from inferflow_core.errors import InferflowError, RequestError, TemplateError
from inferflow_core.interfaces import LoadedModel, Prompt, Request, Tokenizer
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
    begins = await _begin(service, body)
    room = service.room(begins, wanted, "text")
    batch = service.start(
        [
            Request(
                ids=begins.ids,
                source=begins.source,
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


async def _begin(service: Service, body: NativeBody) -> Prompt:
    if body.encoder_input_template and not service.model.reads_source:
        raise APIError(
            400,
            f"{service.model.name} is a decoder alone; encoder_input_template is for models with "
            "an encoder",
            param="encoder_input_template",
        )
    if not body.text:
        raise APIError(400, "the text is missing or empty", param="text", code="empty_request")
    parts = (body.text, body.system_prompt, body.res_prefix, body.decoder_input_template)
    parts = (*parts, body.encoder_input_template)
    service.check_length(sum(len(part or "") for part in parts), "text")
    make = pair_of if service.model.reads_source else prompt_of
    try:
        begins = await service.in_thread(make, service.model, body)
    except (TemplateError, RequestError) as error:
        param = getattr(error, "param", None) or "text"
        raise APIError(400, str(error), param=param) from error
    if not begins.given:
        raise APIError(400, "the text has no tokens", param="text", code="empty_request")
    return begins


def prompt_of(model: LoadedModel, body: NativeBody) -> Prompt:
    """By the request's template, else by the model's chat template, else the text as it is.
    `res_prefix` comes last: the answer goes on from it. Raises APIError, TemplateError,
    RequestError."""
    prefix, tokenizer = body.res_prefix or "", model.tokenizer
    if body.decoder_input_template:
        given = _from_template(body, tokenizer, "decoder_input_template", prefix)
        return model.prompt(given, **_languages(body))
    if tokenizer.chat_template is None:
        return model.prompt(_plain(model, body) + prefix, **_languages(body))
    begins = model.prompt(_messages(body), **_languages(body))
    return _followed(begins, prefix, tokenizer)


def pair_of(model: LoadedModel, body: NativeBody) -> Prompt:
    """What an encoder reads, by the request's template or as `prompt_of`; and the beginning of the
    target, by the request's template or the languages. `res_prefix` is its end."""
    prefix, tokenizer = body.res_prefix or "", model.tokenizer
    forced: dict[str, Any] = {"first": ()} if body.decoder_input_template else {}
    if body.encoder_input_template:
        given = _from_template(body, tokenizer, "encoder_input_template")
    elif tokenizer.chat_template is None:
        given = _plain(model, body)
    else:
        given = _messages(body)
    begins = model.prompt(given, **_languages(body), **forced)
    if not body.decoder_input_template:
        return _followed(begins, prefix, tokenizer)
    ids = _from_template(body, tokenizer, "decoder_input_template", prefix, wanted=False)
    return replace(begins, ids=tuple(ids))


def _from_template(
    body: NativeBody, tokenizer: Tokenizer, field: str, prefix: str = "", *, wanted: bool = True
) -> list[int]:
    """The ids of a template of the request; `wanted`: the text and the system prompt must be in
    it."""
    return template_ids(
        getattr(body, field),
        tokenizer,
        field=field,
        query=body.text or "",
        system_prompt=body.system_prompt or "",
        res_prefix=prefix,
        wanted=wanted,
    )


def _plain(model: LoadedModel, body: NativeBody) -> str:
    if body.system_prompt:
        which = "encoder" if model.reads_source else "decoder"
        raise APIError(
            400,
            f"{model.name} has no chat template, so a system_prompt has no place; give a "
            f"{which}_input_template with {{system_prompt}}",
            param="system_prompt",
        )
    return body.text or ""


def _messages(body: NativeBody) -> list[dict[str, str]]:
    system = body.system_prompt
    messages = [{"role": "system", "content": system}] if system else []
    return [*messages, {"role": "user", "content": body.text or ""}]


def _followed(begins: Prompt, prefix: str, tokenizer: Tokenizer) -> Prompt:
    more = tokenizer.encode(prefix, special=False) if prefix else ()
    return replace(begins, ids=(*begins.ids, *more))


def _languages(body: NativeBody) -> dict[str, Any]:
    return {"source_language": body.source_language, "target_language": body.target_language}
