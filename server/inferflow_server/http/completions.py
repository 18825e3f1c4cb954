"""POST /v1/completions: text or ids, one or several."""

from collections.abc import Sequence

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from inferflow_core.interfaces import Prompt, Request, TokenEvent, Tokenizer
from inferflow_server.http.body import read
from inferflow_server.http.errors import APIError
from inferflow_server.http.fields import MAX_CHOICES, CompletionBody
from inferflow_server.http.respond import Answer, Object
from inferflow_server.http.service import Service
from inferflow_server.http.token_text import is_listed, text_of

DEFAULT_TOKENS = 16
"""OpenAI's, of a text that goes on. What is written of a source comes to an end of its own."""


async def completions(http: HTTPRequest) -> Response:
    service: Service = http.app.state.service
    body = await read(http, CompletionBody)
    service.check_model(body.model)
    service.check_writes()
    sampling = body.sampling(service.chain)
    prompts = body.prompts()
    n = body.n or 1
    if len(prompts) * n > MAX_CHOICES:
        raise APIError(400, f"at most {MAX_CHOICES} choices are possible", param="prompt")
    if body.echo and body.logprobs is not None:
        raise APIError(400, "echo together with logprobs is not supported", param="logprobs")
    if body.echo and service.model.reads_source:
        message = "echo is for a prompt that goes on; this model writes what it makes of one"
        raise APIError(400, message, param="echo")
    sequences = [await _begin(service, body, prompt) for prompt in prompts]
    batch = service.start(
        [
            Request(
                ids=begins.ids,
                source=begins.source,
                max_tokens=service.room(begins, _wanted(service, body, begins), "prompt"),
                sampling=sampling,
                seed=None if body.seed is None else body.seed + index,
                stop=body.stops(),
                logprobs=body.logprobs,
            )
            for begins in sequences
            for index in range(n)
        ],
        "prompt",
    )
    echoes = [await _text(service, prompt) if body.echo else "" for prompt in prompts]
    shape = TextShape(service.model.tokenizer, [echo for echo in echoes for _ in range(n)])
    answer = Answer(shape, batch, model=body.model, prompts=len(prompts), n=n)
    if body.stream:
        options = body.stream_options
        return answer.stream(include_usage=bool(options and options.include_usage))
    return await answer.whole(http)


def _wanted(service: Service, body: CompletionBody, prompt: Prompt) -> int | None:
    """The default is what fits, where less than OpenAI's default does."""
    if body.max_tokens is not None or prompt.source:
        return body.max_tokens
    return max(1, min(DEFAULT_TOKENS, service.model.engine.context - len(prompt.ids)))


async def _begin(service: Service, body: CompletionBody, prompt: str | list[int]) -> Prompt:
    if isinstance(prompt, str):
        service.check_length(len(prompt), "prompt")
    begins = await service.prompt(
        prompt,
        "prompt",
        source_language=body.source_language,
        target_language=body.target_language,
    )
    if not begins.given:
        message = "the prompt is empty, and this model has no start token"
        raise APIError(400, message, param="prompt")
    return begins


async def _text(service: Service, prompt: str | list[int]) -> str:
    if isinstance(prompt, str):
        return prompt
    return await service.in_thread(service.model.tokenizer.decode, prompt)


class TextShape:
    prefix = "cmpl"
    whole_object = "text_completion"
    chunk_object = "text_completion"

    def __init__(self, tokenizer: Tokenizer, echoes: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._echoes = echoes
        self._sent = [len(echo) for echo in echoes]

    def opening(self, index: int) -> Object | None:
        echo = self._echoes[index]
        if not echo:
            return None
        return {"index": index, "text": echo, "logprobs": None, "finish_reason": None}

    def piece(self, index: int, event: TokenEvent) -> Object | None:
        logprobs = self._logprobs(index, [event])
        if not event.text and event.finish is None and logprobs is None:
            return None
        return {
            "index": index,
            "text": event.text,
            "logprobs": logprobs,
            "finish_reason": event.finish,
        }

    def choice(self, index: int, events: Sequence[TokenEvent]) -> Object:
        return {
            "index": index,
            "text": self._echoes[index] + "".join(event.text for event in events),
            "logprobs": self._logprobs(index, events),
            "finish_reason": events[-1].finish,
        }

    def _logprobs(self, index: int, events: Sequence[TokenEvent]) -> Object | None:
        listed = [event for event in events if is_listed(event)]
        if not listed:
            return None
        result: Object = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for event in listed:
            assert event.token is not None
            text = text_of(self._tokenizer, event.token)
            top = {text_of(self._tokenizer, token): logprob for token, logprob in event.top}
            result["tokens"].append(text)
            result["token_logprobs"].append(event.logprob)
            result["top_logprobs"].append(top)
            result["text_offset"].append(self._sent[index])
            self._sent[index] += len(text)
        return result
