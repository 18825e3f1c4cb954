"""POST /v1/chat/completions."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from inferflow_core.interfaces import Prompt, Request, TokenEvent, Tokenizer
from inferflow_server.http.body import read
from inferflow_server.http.fields import ChatBody
from inferflow_server.http.respond import Answer, Object
from inferflow_server.http.service import Service
from inferflow_server.http.token_text import entry, is_listed


async def chat_completions(http: HTTPRequest) -> Response:
    service: Service = http.app.state.service
    body = await read(http, ChatBody)
    service.check_model(body.model)
    service.check_writes()
    sampling = body.sampling(service.chain)
    begins = await _begin(service, [message.plain() for message in body.messages])
    wanted = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    n = body.n or 1
    batch = service.start(
        [
            Request(
                ids=begins.ids,
                source=begins.source,
                max_tokens=service.room(begins, wanted, "messages"),
                sampling=sampling,
                seed=None if body.seed is None else body.seed + index,
                stop=body.stops(),
                logprobs=(body.top_logprobs or 0) if body.logprobs else None,
            )
            for index in range(n)
        ],
        "messages",
    )
    shape = ChatShape(service.model.tokenizer)
    answer = Answer(shape, batch, model=body.model, prompts=1, n=n)
    if body.stream:
        options = body.stream_options
        return answer.stream(include_usage=bool(options and options.include_usage))
    return await answer.whole(http)


async def _begin(service: Service, messages: Sequence[Mapping[str, str]]) -> Prompt:
    service.check_length(sum(len(message["content"]) for message in messages), "messages")
    return await service.prompt(messages, "messages")


class ChatShape:
    prefix = "chatcmpl"
    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def opening(self, index: int) -> Object:
        delta = {"role": "assistant", "content": ""}
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    def piece(self, index: int, event: TokenEvent) -> Object | None:
        logprobs = self._logprobs([event])
        if not event.text and event.finish is None and logprobs is None:
            return None
        delta = {"content": event.text} if event.text or event.finish is None else {}
        return {
            "index": index,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": event.finish,
        }

    def choice(self, index: int, events: Sequence[TokenEvent]) -> Object:
        text = "".join(event.text for event in events)
        return {
            "index": index,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": self._logprobs(events),
            "finish_reason": events[-1].finish,
        }

    def _logprobs(self, events: Sequence[TokenEvent]) -> Object | None:
        listed: list[Any] = [self._entry(event) for event in events if is_listed(event)]
        return {"content": listed, "refusal": None} if listed else None

    def _entry(self, event: TokenEvent) -> Object:
        assert event.token is not None
        assert event.logprob is not None
        top = [entry(self._tokenizer, token, logprob) for token, logprob in event.top]
        return entry(self._tokenizer, event.token, event.logprob) | {"top_logprobs": top}
