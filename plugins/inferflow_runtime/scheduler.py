"""Which tokens of which sequences go into the next step."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from inferflow_core.interfaces import Sizes
from inferflow_runtime.pages import PagePool
from inferflow_runtime.sequence import Sequence
from inferflow_runtime.table import BlockTable


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next `count` tokens of a sequence."""

    sequence: Sequence
    count: int


class Scheduler:
    """Iteration-level batching (Orca, Yu et al. 2022) over paged state (Kwon et al. 2023).

    Each step takes one token of every decoding sequence, then shares what room is left among
    prompts, then admits waiting sequences, first come first served. When pages run out, the
    youngest sequence gives its up and is computed again later; by the numeric law that changes
    nothing in its result.
    """

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._most_running = min(sizes.max_sequences, sizes.max_tokens)
        self._most_pages = -(-sizes.context // sizes.page_tokens)
        self.pool = PagePool(sizes.pages)
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        """In the order of admission."""

    def plan(self) -> list[Chunk]:
        """The next step: at most `max_tokens` tokens. Empty only if there is nothing to run."""
        chunks = self._decodes()
        room = self._sizes.max_tokens - len(chunks)
        prompts = [s for s in self.running if s.remaining > 1]
        while len(prompts) < room and len(self.running) < self._most_running:
            admitted = self._admit()
            if admitted is None:
                break
            prompts.append(admitted)
        return chunks + _share(prompts, room)

    def advance(self, sequence: Sequence, count: int) -> None:
        """Its next `count` tokens are in the cache; full pages are published."""
        sequence.computed += count
        if sequence.keys is not None and sequence.table is not None:
            full = sequence.computed // self._sizes.page_tokens
            fresh = (sequence.computed - count) // self._sizes.page_tokens
            keys = sequence.keys.upto(full)
            for page in range(fresh, full):
                self.pool.publish(int(sequence.table.row[page]), keys[page])

    def remove(self, sequence: Sequence) -> None:
        """Forgets a sequence, waiting or running, and gives its pages back."""
        if sequence.table is None:
            self.waiting.remove(sequence)
        else:
            self.running.remove(sequence)
            self._release(sequence)

    def everyone(self) -> Iterable[Sequence]:
        return [*self.running, *self.waiting]

    def _decodes(self) -> list[Chunk]:
        chunks: list[Chunk] = []
        for sequence in list(self.running):
            if sequence.remaining == 1 and len(chunks) < self._sizes.max_tokens:
                while sequence.table is not None and not sequence.table.reserve(
                    len(sequence.tokens)
                ):
                    self._preempt(self.running[-1])
                if sequence.table is not None:
                    chunks.append(Chunk(sequence, 1))
        return chunks

    def _admit(self) -> Sequence | None:
        """Starts the first waiting sequence if there are pages for all of its tokens, and one
        more for each sequence that runs."""
        if not self.waiting:
            return None
        sequence = self.waiting[0]
        tokens = len(sequence.tokens)
        table = BlockTable(self.pool, self._sizes.page_tokens, self._most_pages)
        if sequence.keys is not None:
            known = (tokens - 1) // self._sizes.page_tokens
            table.share(self.pool.find(sequence.keys.upto(known)))
        shared = table.count
        if not table.reserve(tokens, spare=len(self.running)):
            table.release()
            return None
        sequence.table = table
        sequence.computed = shared * self._sizes.page_tokens
        if sequence.reused is None:
            sequence.reused = sequence.computed
        self.running.append(self.waiting.popleft())
        return sequence

    def _preempt(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self._release(sequence)
        sequence.computed = 0
        sequence.task.restart()
        self.waiting.appendleft(sequence)

    def _release(self, sequence: Sequence) -> None:
        if sequence.table is not None:
            sequence.table.release()
            sequence.table = None


def _share(prompts: list[Sequence], room: int) -> list[Chunk]:
    """Room in equal shares; what a short prompt leaves of its share, the longer ones get."""
    chunks: list[Chunk] = []
    for left, sequence in zip(range(len(prompts), 0, -1), sorted(prompts, key=_wish), strict=True):
        count = min(_wish(sequence), room // left)
        if count:
            chunks.append(Chunk(sequence, count))
            room -= count
    return chunks


def _wish(sequence: Sequence) -> int:
    return min(sequence.remaining, sequence.chunk or sequence.remaining)
