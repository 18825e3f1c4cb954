"""A loaded model: its plan, tokenizer and running engine."""

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Self, cast

import numpy as np

from inferflow_core.errors import RequestError
from inferflow_core.interfaces import (
    Engine,
    Fill,
    Prompt,
    Request,
    Stream,
    TokenEvent,
    Tokenizer,
    TokenLabel,
)
from inferflow_core.spec import Plan
from inferflow_runtime import predictions
from inferflow_runtime.prompt import if_any, refuse_choices, source_of, target_of
from inferflow_runtime.texts import TextFacts, start_of, text_ids

Array = np.ndarray[Any, np.dtype[Any]]


class Model:
    """See `interfaces.LoadedModel`. A context manager; closes itself when it is forgotten."""

    def __init__(
        self,
        *,
        name: str,
        plan: Plan,
        engine: Engine,
        outputs: Mapping[str, bool],
        texts: TextFacts,
        open_tokenizer: Callable[[], Tokenizer],
        backend_choice: str,
        reads_source: bool,
        resources: ExitStack,
    ) -> None:
        self.name = name
        self.plan = plan
        self.engine = engine
        self.outputs = outputs
        self._texts = texts
        self.backend_choice = backend_choice
        self.reads_source = reads_source
        self._open_tokenizer = open_tokenizer
        self._close = weakref.finalize(self, resources.close)

    @property
    def tokenizer(self) -> Tokenizer:
        return self._open_tokenizer()

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """Raises TemplateError, RequestError."""
        return self.tokenizer.encode_chat(
            messages, tools, add_generation_prompt=add_generation_prompt
        )

    def prompt(
        self,
        given: str | Sequence[int] | Sequence[Mapping[str, Any]],
        *,
        source_language: str | None = None,
        target_language: str | None = None,
        first: Sequence[int] | None = None,
    ) -> Prompt:
        """See `interfaces.LoadedModel.prompt`."""
        if not self.reads_source:
            names = {"source_language": source_language, "target_language": target_language}
            refuse_choices(self.name, {**names, "first": first})
            return Prompt(tuple(self._ids(given)))
        source = tuple(self._ids(given, source_language))
        tokenizer = if_any(self._open_tokenizer)
        return Prompt(target_of(self.plan.generation, tokenizer, target_language, first), source)

    def _ids(
        self,
        given: str | Sequence[int] | Sequence[Mapping[str, Any]],
        language: str | None = None,
    ) -> Sequence[int]:
        if isinstance(given, str):
            return source_of(given, self.tokenizer, language)
        if language is not None:
            raise RequestError(
                "source_language is for a text: ids and templates say themselves what is read",
                param="source_language",
            )
        if given and all(isinstance(item, Mapping) for item in given):
            return self.render(cast("Sequence[Mapping[str, Any]]", given))
        return cast("Sequence[int]", given)

    def logits(
        self,
        ids: Sequence[Sequence[int]],
        *,
        encoder: Sequence[Sequence[int]] | None = None,
        chunk: int | None = None,
    ) -> list[Array]:
        """float32 [len, vocab] for each sequence; `encoder` is what an encoder-decoder reads for
        each. Raises RequestError, EngineError."""
        return self.engine.evaluate(ids, "logits", source=encoder, chunk=chunk)

    def hidden(
        self,
        ids: Sequence[Sequence[int]],
        *,
        encoder: Sequence[Sequence[int]] | None = None,
        token_types: Sequence[Sequence[int]] | None = None,
        layer: int | None = None,
        chunk: int | None = None,
    ) -> list[Array]:
        """float32 [len, hidden] for each sequence: after the last norm, or after `layer` layers
        (0: what goes into the first). Raises RequestError, EngineError."""
        return self.engine.evaluate(
            ids, _hidden(layer), source=encoder, token_types=token_types, chunk=chunk
        )

    def encode(self, ids: Sequence[Sequence[int]], *, layer: int | None = None) -> list[Array]:
        """float32 [len, hidden] for each sequence: the encoder's states, of an encoder-decoder;
        `layer` as in `hidden`. Raises RequestError, EngineError."""
        return self.engine.evaluate(ids, _hidden(layer), entry="encode")

    def head(
        self,
        name: str,
        ids: Sequence[Sequence[int]],
        *,
        token_types: Sequence[Sequence[int]] | None = None,
    ) -> list[Array]:
        """What an encoder's head of this name makes of each sequence: float32 [len, width], or
        [width] where it is for the whole. Raises RequestError, EngineError."""
        return self.engine.evaluate(ids, name, token_types=token_types)

    def text_ids(
        self,
        texts: Sequence[str | Sequence[int]],
        *,
        prompt: str | None = None,
        truncate: bool | int = False,
    ) -> list[list[int]]:
        """See `interfaces.LoadedModel.text_ids`."""
        limit = self.engine.context
        return text_ids(
            texts, self.tokenizer, self._texts, limit=limit, prompt=prompt, truncate=truncate
        )

    def embed(
        self,
        texts: Sequence[str | Sequence[int]],
        *,
        dimensions: int | None = None,
        prompt: str | None = None,
        truncate: bool | int = False,
    ) -> Array:
        """See `interfaces.LoadedModel.embed`."""
        predictions.require(predictions.EMBEDDING, self.outputs, whole=True)
        if isinstance(texts, str):
            raise RequestError("embed takes a list of texts; this is one text")
        ids = self.text_ids(texts, prompt=prompt, truncate=truncate)
        width = self.plan.model.hidden
        vectors = self.head(predictions.EMBEDDING, ids)
        stacked = np.stack(vectors) if vectors else np.zeros((0, width), np.float32)
        return predictions.shortened(stacked, dimensions)

    def fill_mask(self, text: str, *, top: int = 5) -> list[list[Fill]]:
        """See `interfaces.LoadedModel.fill_mask`."""
        predictions.require(predictions.MASKS, self.outputs)
        ids = predictions.mask_ids(text, self.tokenizer)
        (logits,) = self.head(predictions.MASKS, [ids])
        return predictions.fills(logits, ids, self.tokenizer, top)

    def classify(self, texts: Sequence[str | tuple[str, str]]) -> list[dict[str, float]]:
        """See `interfaces.LoadedModel.classify`."""
        predictions.require(predictions.LABELS, self.outputs, whole=True)
        if isinstance(texts, str):
            raise RequestError("classify takes a list of texts; this is one text")
        pairs = [self._one_or_two(text) for text in texts]
        scores = self.head(
            predictions.LABELS, [ids for ids, _ in pairs], token_types=[types for _, types in pairs]
        )
        return [predictions.labelled(each, self._texts) for each in scores]

    def classify_tokens(self, texts: Sequence[str]) -> list[list[TokenLabel]]:
        """See `interfaces.LoadedModel.classify_tokens`."""
        predictions.require(predictions.LABELS, self.outputs, whole=False)
        if isinstance(texts, str):
            raise RequestError("classify_tokens takes a list of texts; this is one text")
        whole = [self.tokenizer.encode(text) for text in texts]
        bare = [self.tokenizer.encode(text, special=False) for text in texts]
        found: list[list[TokenLabel]] = []
        for scores, ids, own in zip(self.head(predictions.LABELS, whole), whole, bare, strict=True):
            first = start_of(own, ids)
            some = scores[first : first + len(own)]
            found.append(predictions.token_labels(some, own, self.tokenizer, self._texts))
        return found

    def _one_or_two(self, text: str | tuple[str, str]) -> tuple[list[int], list[int]]:
        """Ids and types of a text or of a pair."""
        if not isinstance(text, str):
            return self.tokenizer.encode_pair(*text)
        ids = self.tokenizer.encode(text)
        return ids, [0] * len(ids)

    def generate(
        self,
        prompt: str | Sequence[int] | Sequence[Mapping[str, Any]] | None = None,
        *,
        ids: Sequence[int] | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        seed: int | None = None,
        logprobs: int | None = None,
        ignore_stop_ids: bool = False,
        source_language: str | None = None,
        target_language: str | None = None,
        first: Sequence[int] | None = None,
        **sampling: float,
    ) -> Iterator[TokenEvent]:
        """`prompt` is a text, token ids or messages. Without `max_tokens`, up to the end of the
        context. Raises RequestError at once, not when the iterator is first asked."""
        given = [each for each in (prompt, ids, messages) if each is not None]
        if len(given) != 1:
            raise RequestError("give one of a prompt, ids and messages")
        begins = self.prompt(
            given[0],
            source_language=source_language,
            target_language=target_language,
            first=first,
        )
        request = Request(
            ids=begins.ids,
            source=begins.source,
            max_tokens=self.engine.context if max_tokens is None else max_tokens,
            sampling=sampling,
            seed=seed,
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            logprobs=logprobs,
            ignore_stop_ids=ignore_stop_ids,
        )
        return self._events(self.engine.submit(request))

    def _events(self, stream: Stream) -> Iterator[TokenEvent]:
        """Keeps the model open while its events are read, though nobody else may hold it."""
        try:
            yield from stream
        finally:
            stream.cancel()

    def close(self) -> None:
        """Ends all requests and lets go of weights and files. Safe to call twice."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _hidden(layer: int | None) -> str:
    """The output of the states after so many layers; None: after the last norm."""
    return "hidden" if layer is None else f"hidden.{layer}"
