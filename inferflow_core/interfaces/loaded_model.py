"""What `inferflow_core.load` gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

from inferflow_core.interfaces.engine import Engine, TokenEvent
from inferflow_core.interfaces.tokenizer import Tokenizer

if TYPE_CHECKING:
    from inferflow_core.interfaces.arrays import Array


class LoadedModel(Protocol):
    """What `inferflow_core.load` gives: one model with its tokenizer and running engine."""

    name: str
    plan: Any
    """The resolved spec."""
    backend_choice: str
    """Which backend runs it, and why that one."""
    engine: Engine

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
        **sampling: float,
    ) -> Iterator[TokenEvent]:
        """The events of one sequence after a text, ids or a conversation (`prompt` may be any of
        them; the keywords say which). `sampling` overrides
        fields of the samplers by name. Leaving the iterator early cancels it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def close(self) -> None: ...
