"""A compiled graph: what it has room for, what a step gives it, what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from inferflow_core.interfaces.arrays import Array


@dataclass(frozen=True)
class Sizes:
    """How much a program must have room for."""

    pages: int
    """Pages of the cache, page 0 (padding) included."""
    page_tokens: int
    """Tokens of a page; a multiple of 16."""
    max_tokens: int
    """Tokens of one step."""
    max_sequences: int
    context: int
    """Longest sequence."""
    threads: int | None = None
    """Threads of a step; None: as many as the backend thinks best."""
    cache: str = "auto"
    """`f32`, `f16`, `bf16` or `int8` for what a token leaves behind; `auto`: as the backend thinks
    best. A backend that has one kind only keeps that."""
    activations: str = "auto"
    """`float`: packed weights are multiplied with activations as they are; `int8`: with activations
    in 8 bits; `auto`: as the backend thinks best."""
    skip_passes: tuple[str, ...] = ()
    """Passes that a backend leaves out (`PassBackend`)."""
    source_pages: int = 0
    """Pages of the states that have a row for each token of an encoder; page 0 included."""


@dataclass(frozen=True)
class ProgramEntry:
    """What an engine must know of an entry of a program."""

    outputs: Mapping[str, bool]
    """Name -> whether it has a row for each sequence, instead of one for each of `out_rows`."""
    whole: bool = False
    """Whether a sequence must come in one step: its rows depend on later ones."""
    token_types: int | None = None
    """How many types of tokens there are; None: it looks at none."""


@dataclass(frozen=True)
class Step:
    """One step's input: T tokens of S sequences, ragged; all arrays int32 unless said.

    The tokens of a sequence are consecutive, `offsets[s]:offsets[s+1]`; `lengths[s]` is the
    sequence's length after the step; `block_tables[s, p]` is the page of its tokens
    `p*page_tokens ...`; `out_rows` are the rows (0..T-1) whose outputs are wanted.

    The step `encode` of an encoder-decoder has the encoder's tokens, and `block_tables` of pages of
    its `SourceState`s; its later steps find these by `source_tables` and `source_lengths`.
    """

    ids: Array  # [T]
    positions: Array  # [T]
    seq_of: Array  # [T]
    offsets: Array  # [S+1]
    lengths: Array  # [S]
    block_tables: Array  # [S, P]
    out_rows: Array  # [R]
    token_types: Array | None = None  # [T]
    entry: str = "step"
    source_lengths: Array | None = None  # [S]
    source_tables: Array | None = None  # [S, P]


class Ticket(Protocol):
    def result(self) -> Mapping[str, Array]:
        """Waits; the named outputs, e.g. `logits` float32 [R, vocab], `hidden` [R, hidden]. They
        may be the program's own memory, and hold until its next step."""
        ...


class Program(Protocol):
    """A compiled graph with its weights and its cache. It may have `profile` (`Profiled`)."""

    def submit(self, step: Step, outputs: Sequence[str] = ("logits",)) -> Ticket: ...

    def copy_page(self, source: int, target: int) -> None:
        """Copies one page of every state, for sequences that part ways."""
        ...

    def close(self) -> None:
        """Lets go of weights and cache. Safe to call twice."""
        ...


@dataclass(frozen=True)
class OpTime:
    """How long an op took, of one place of the network."""

    op: str
    """The kernel's name, or the op's."""
    path: str
    """Of the block that asked for it, with `*` for the number of a layer."""
    calls: int
    seconds: float


@runtime_checkable
class Profiled(Protocol):
    """A program that can tell where a step goes, or an engine that runs one."""

    def profile(self) -> Sequence[OpTime]:
        """What ops took since it was last called, and from zero again. It begins to look with the
        first call."""
        ...
