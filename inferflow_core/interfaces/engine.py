"""The engine: requests, their events, and a look at the thread that runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from inferflow_core.interfaces.arrays import Array


@dataclass(frozen=True)
class Prompt:
    """Where an answer begins: two fields of a Request."""

    ids: tuple[int, ...]
    source: tuple[int, ...] = ()

    @property
    def given(self) -> int:
        """How many tokens a text or conversation has become."""
        return len(self.source or self.ids)


@dataclass(frozen=True)
class Request:
    """One sequence to generate. `sampling` overrides fields of the samplers by name."""

    ids: tuple[int, ...]
    max_tokens: int
    sampling: Mapping[str, float] = field(default_factory=dict[str, float])
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_ids: frozenset[int] = frozenset()
    """Beside the model's own."""
    ignore_stop_ids: bool = False
    logprobs: int | None = None
    """None: none; n: of the chosen token and the n best."""
    reuse_prefix: bool = True
    salt: str = ""
    """Cached prefixes are shared only among requests of equal salt."""
    source: tuple[int, ...] = ()
    """What an encoder-decoder reads; `ids` then are the beginning of what it writes."""


@dataclass(frozen=True)
class TokenEvent:
    """One step of one request, in order. The last one has `finish`."""

    token: int | None
    """None where text is only flushed."""
    text: str
    """What became certain with this token (stop strings held back); may be empty."""
    finish: str | None = None
    """`stop`, `length`, `cancelled` or `error`."""
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    error: str | None = None
    prompt_tokens: int = 0
    """Of `ids` and `source` together."""
    cached_tokens: int = 0
    completion_tokens: int = 0


class Stream(Protocol):
    """A running request: iterate its events, or cancel it."""

    id: int

    def __iter__(self) -> Iterator[TokenEvent]: ...

    def cancel(self) -> None: ...


@dataclass(frozen=True)
class Stats:
    """A look at the engine, cheap enough for a health check."""

    running: int
    waiting: int
    pages: int
    free_pages: int
    heartbeat_age_s: float
    steps: int
    alive: bool
    source_pages: int = 0
    """Pages for what encoders have read; 0 where there is none."""
    free_source_pages: int = 0


class Engine(Protocol):
    """A running model: scheduler, cache and generation loop, in a thread of its own."""

    context: int
    max_sequences: int

    def submit(self, request: Request, sink: Callable[[TokenEvent], None] | None = None) -> Stream:
        """Queues a request. `sink` gets the events in the engine's thread and must not block;
        without it, iterate the stream. Raises RequestError, OverloadedError, EngineError."""
        ...

    def evaluate(
        self,
        ids: Sequence[Sequence[int]],
        output: str,
        *,
        entry: str = "step",
        token_types: Sequence[Sequence[int]] | None = None,
        source: Sequence[Sequence[int]] | None = None,
        chunk: int | None = None,
    ) -> list[Array]:
        """Runs sequences among the others and waits: `output` (`logits`, `hidden`) for every
        token of each, float32 [length, width]; of an output for the sequence [width]. `source` is
        what an encoder-decoder reads for each; its `encode` is an `entry` too. At most `chunk`
        tokens of one go into a step. Raises RequestError, OverloadedError, EngineError."""
        ...

    def stats(self) -> Stats: ...

    def close(self, *, drain: bool = False) -> None:
        """Ends all streams (`cancelled`), or with `drain` lets them finish first."""
        ...
