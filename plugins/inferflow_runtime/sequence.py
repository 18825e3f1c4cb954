"""A sequence in the engine: its tokens, its pages, and whom it runs for."""

from collections import abc
from dataclasses import dataclass
from typing import Protocol

from inferflow_runtime.prefix import PrefixKeys
from inferflow_runtime.table import BlockTable


class Task(Protocol):
    """What a sequence is run for: a generation or an evaluation. Used in the engine's thread,
    but for `cancelled`, which anybody may set."""

    output: str
    """The program's output that it needs: of every token, of the last one only, or of none."""
    every_row: bool
    cancelled: bool

    def restart(self) -> None:
        """The sequence lost its pages and will be computed again from the first token."""
        ...

    def end(self, reason: str, error: str | None = None) -> None:
        """The sequence has left the engine before its end: `cancelled` or `error`."""
        ...


@dataclass(eq=False, slots=True, kw_only=True)
class Sequence:
    """One sequence. The first `computed` of its `tokens` are in the cache.

    What is not yet computed is a prompt, the one token of a decode step, or both together after a
    preemption: the scheduler knows no difference.
    """

    task: Task
    tokens: list[int]
    keys: PrefixKeys | None
    """None: it neither reads nor feeds the prefix cache."""
    token_types: abc.Sequence[int] | None = None
    chunk: int | None = None
    """Most tokens of it in one step."""
    table: BlockTable | None = None
    """None while it waits."""
    computed: int = 0
    reused: int | None = None
    """Tokens that the prefix cache gave when it was first admitted."""
    entry: str = "step"
    """The entry of the program that its tokens go to."""
    source: "Sequence | None" = None
    """What the encoder reads for it: a sequence of entry `encode` that is computed first."""

    @property
    def remaining(self) -> int:
        return len(self.tokens) - self.computed

    @property
    def ready(self) -> bool:
        """Whether its source, if it has one, has been encoded."""
        return self.source is None or not self.source.remaining


class Encoding:
    """The task of a source: no rows of it are wanted, its sequence has the events."""

    output = ""
    every_row = False
    cancelled = False

    def restart(self) -> None:
        """It is computed again."""

    def end(self, reason: str, error: str | None = None) -> None:
        """Its sequence has ended."""
