"""The model behind the routes: what they may ask of it, and their bounds."""

import dataclasses
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, TypeVar

from inferflow_core.errors import RequestError, TemplateError
from inferflow_core.hooks import Hooks
from inferflow_core.interfaces import LoadedModel, Prompt, Request
from inferflow_server.http.batch import Batch, Mailbox
from inferflow_server.http.errors import APIError, unavailable
from inferflow_server.http.threads import Threads

Result = TypeVar("Result")

TEXT_THREADS = 2
TEXT_QUEUE = 64
"""Tokenizations and templates that may wait for a thread; more is overload."""
VECTOR_THREADS = 8
VECTOR_QUEUE = 64
"""Requests for embeddings that may wait for the engine."""
MAX_CHARS_PER_TOKEN = 128
"""A text with more characters than this for each token of the context is not even tokenized."""
STALLED_S = 600.0
"""A step may be long: a prefill of a large model on a slow machine."""


class Service:
    """One model for all requests. Used in the event loop's thread only."""

    def __init__(self, model: LoadedModel, hooks: Hooks) -> None:
        self.model = model
        self.hooks = hooks
        self.created = int(time.time())
        self.draining = False
        self.running: set[Batch] = set()
        samplers = getattr(getattr(model.plan, "run", None), "samplers", ())
        self.chain = {
            field.name: field for sampler in samplers for field in dataclasses.fields(sampler)
        }
        self._texts = Threads(
            "text", count=TEXT_THREADS, queue=TEXT_QUEUE, what="texts wait to be tokenized"
        )
        self._vectors = Threads(
            "vectors", count=VECTOR_THREADS, queue=VECTOR_QUEUE, what="texts wait to be embedded"
        )
        self._cancelled = False

    @cached_property
    def mailbox(self) -> Mailbox:
        """Of the event loop that the first request came in."""
        return Mailbox()

    def check_model(self, name: str) -> None:
        if name != self.model.name:
            raise APIError(
                *(404, f"The model {name!r} does not exist; this server has {self.model.name!r}"),
                param="model",
                code="model_not_found",
            )

    def check_writes(self) -> None:
        """Refuses whoever asks a model for text that writes none."""
        if "logits" not in self.model.outputs:
            embeds = "embedding" in self.model.outputs
            instead = "it gives embeddings: POST /v1/embeddings" if embeds else "it is an encoder"
            raise APIError(400, f"{self.model.name} writes no text; {instead}", param="model")

    def check_length(self, characters: int, param: str) -> None:
        """Refuses texts that cannot fit, before work is spent on them."""
        if characters > MAX_CHARS_PER_TOKEN * self.model.engine.context:
            raise self._too_long(f"your {param} has {characters} characters", param)

    def room(self, prompt: Prompt, wanted: int | None, param: str) -> int:
        """How many tokens may follow a prompt. A source has a context of its own."""
        context = self.model.engine.context
        used = len(prompt.ids)
        if used >= context or len(prompt.source) > context:
            raise self._too_long(f"your {param} has {prompt.given} tokens", param)
        if wanted is not None and used + wanted > context:
            named = "the beginning of the target" if prompt.source else param
            text = f"you asked for {used + wanted} ({used} in {named}, {wanted} to generate)"
            raise self._too_long(text, param)
        return wanted or context - used

    async def prompt(
        self, given: str | Sequence[int] | Sequence[Mapping[str, str]], param: str, **choices: Any
    ) -> Prompt:
        """See `LoadedModel.prompt`. `param` is the field that `given` comes from. Raises APIError,
        OverloadedError."""
        try:
            return await self.in_thread(partial(self.model.prompt, given, **choices))
        except (RequestError, TemplateError) as error:
            field = getattr(error, "param", None) or param
            raise APIError(400, str(error), param=field) from error

    def _too_long(self, what: str, param: str) -> APIError:
        message = f"This model's context is {self.model.engine.context} tokens, but {what}."
        return APIError(400, message, param=param, code="context_length_exceeded")

    async def in_thread(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Runs text work off the event loop. Raises OverloadedError when too much of it waits."""
        return await self._texts.run(work, *arguments)

    async def embed(
        self, ids: Sequence[Sequence[int]], dimensions: int | None
    ) -> AsyncGenerator[Any, None]:
        """The vectors of all in order, as many at a time as the engine runs at once, so that a
        client that leaves does not keep it busy. Raises APIError, RequestError, EngineError."""
        some = self.model.engine.max_sequences
        for first in range(0, len(ids), some):
            if self._cancelled or (self.draining and not first):
                raise unavailable("the server is shutting down")
            part = ids[first : first + some]
            yield await self._vectors.run(lambda p=part: self.model.embed(p, dimensions=dimensions))

    def start(self, requests: Sequence[Request], param: str) -> Batch:
        """Submits all of them or, where one is refused, none. `param` is the field that the
        ids come from."""
        if self.draining:
            raise unavailable("the server is shutting down")
        try:
            batch = Batch(self, requests)
        except RequestError as error:
            field = param if error.param in ("ids", "source") else error.param
            raise APIError(400, str(error), param=field) from error
        self.running.add(batch)
        return batch

    def health(self) -> str:
        """Empty if the engine answers, else what is wrong."""
        stats = self.model.engine.stats()
        if not stats.alive:
            return "the engine has stopped"
        if stats.running and stats.heartbeat_age_s > STALLED_S:
            return f"the engine has made no step for {stats.heartbeat_age_s:.0f} s"
        return ""

    def cancel_all(self) -> None:
        self._cancelled = True
        for batch in list(self.running):
            batch.cancel()

    def close(self) -> None:
        self.hooks.call("inferflow_shutdown", model=self.model)
        self._texts.close()
        self._vectors.close()
