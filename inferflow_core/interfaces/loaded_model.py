"""What `inferflow_core.load` gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

from inferflow_core.interfaces.engine import Engine, Prompt, TokenEvent
from inferflow_core.interfaces.tokenizer import Tokenizer

if TYPE_CHECKING:
    from inferflow_core.interfaces.arrays import Array
    from inferflow_core.interfaces.predictions import Fill, TokenLabel


class LoadedModel(Protocol):
    """What `inferflow_core.load` gives: one model with its tokenizer and running engine."""

    name: str
    plan: Any
    """The resolved spec."""
    backend_choice: str
    """Which backend runs it, and why that one."""
    engine: Engine
    outputs: Mapping[str, bool]
    """What a text gives: `logits`, `hidden`, the names of heads; and whether that is one row for
    the whole of it or one for each token."""

    reads_source: bool
    """Whether it is an encoder-decoder: it writes what it makes of a source."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Opened when first asked for. Raises what its entry raises where there is none."""
        ...

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """Chat messages -> ids, by the model's template. Raises RequestError where it has none."""
        ...

    def prompt(
        self,
        given: str | Sequence[int] | Sequence[Mapping[str, Any]],
        *,
        source_language: str | None = None,
        target_language: str | None = None,
        first: Sequence[int] | None = None,
    ) -> Prompt:
        """What a request for a text, ids or a conversation begins with. Of a decoder these are its
        ids. An encoder-decoder reads them as its source; its target begins with the spec's start,
        then the token of `target_language`, or the spec's first one, or `first` instead of either.
        Raises RequestError, TemplateError."""
        ...

    def logits(
        self, ids: Sequence[Sequence[int]], *, encoder: Sequence[Sequence[int]] | None = None
    ) -> list[Array]:
        """One float32 [len, vocab] a sequence; `encoder` is what an encoder-decoder reads."""
        ...

    def hidden(
        self,
        ids: Sequence[Sequence[int]],
        *,
        encoder: Sequence[Sequence[int]] | None = None,
        token_types: Sequence[Sequence[int]] | None = None,
        layer: int | None = None,
    ) -> list[Array]:
        """The states after the last norm: one float32 [len, hidden] a sequence. `layer`: those
        after so many layers instead (0: what goes into the first), before any norm of the end."""
        ...

    def encode(self, ids: Sequence[Sequence[int]], *, layer: int | None = None) -> list[Array]:
        """The states of an encoder-decoder's encoder: one float32 [len, hidden] a sequence; `layer`
        as in `hidden`."""
        ...

    def head(
        self,
        name: str,
        ids: Sequence[Sequence[int]],
        *,
        token_types: Sequence[Sequence[int]] | None = None,
    ) -> list[Array]:
        """What a head of an encoder makes of each: float32 [len, width], or [width]."""
        ...

    def text_ids(
        self,
        texts: Sequence[str | Sequence[int]],
        *,
        prompt: str | None = None,
        truncate: bool | int = False,
    ) -> list[list[int]]:
        """The ids that `embed` reads: `prompt` is the name of one of the model's prompts, which
        stands before each text; `truncate` cuts what is longer than the model reads, or than so
        many tokens. Raises RequestError for a text that is too long."""
        ...

    def embed(
        self,
        texts: Sequence[str | Sequence[int]],
        *,
        dimensions: int | None = None,
        prompt: str | None = None,
        truncate: bool | int = False,
    ) -> Array:
        """One vector a text or list of ids: float32 [texts, width]. `dimensions`: only its first
        numbers, at the length of the whole. Raises RequestError where the model has no head
        `embedding`, and as `text_ids`."""
        ...

    def fill_mask(self, text: str, *, top: int = 5) -> list[list[Fill]]:
        """For each mask token that the text spells, the likeliest tokens, best first. Raises
        RequestError."""
        ...

    def classify(self, texts: Sequence[str | tuple[str, str]]) -> list[dict[str, float]]:
        """For each text or pair of texts its labels with their probabilities, best first. Raises
        RequestError."""
        ...

    def classify_tokens(self, texts: Sequence[str]) -> list[list[TokenLabel]]:
        """For each text the likeliest label of each of its tokens. Raises RequestError."""
        ...

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
        """The events of one sequence after a text, ids or a conversation (`prompt` may be any of
        them; the keywords say which). Languages and `first` are for encoder-decoders, as in
        `prompt`. `sampling` overrides fields of the samplers by name. Leaving the iterator early
        cancels it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def close(self) -> None: ...
