"""Which tokens of which sequences go into the next step."""

from collections import deque
from collections.abc import Collection, Iterable
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

    A step runs one entry. Sources that wait for the encoder take every other step while there is
    something else to run, so that many of them hold nobody up. Sequences of the entries in `whole`
    go into a step with all of their tokens, or not at all.
    """

    def __init__(self, sizes: Sizes, whole: Collection[str] = ()) -> None:
        self._sizes = sizes
        self._whole = frozenset(whole)
        self._most_running = min(sizes.max_sequences, sizes.max_tokens)
        self._most_pages = -(-sizes.context // sizes.page_tokens)
        self.pool = PagePool(sizes.pages)
        self.source_pool = PagePool(max(1, sizes.source_pages))
        self._has_encoded = False
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        """In the order of admission."""

    def plan(self) -> list[Chunk]:
        """The next step: at most `max_tokens` tokens of one entry. Empty only if there is nothing
        to run."""
        chunks = self._decodes()
        room = self._sizes.max_tokens - len(chunks)
        prompts = [s for s in self.running if s.remaining > 1 or not s.ready]
        while len(prompts) < room and len(self.running) < self._most_running:
            admitted = self._admit()
            if admitted is None:
                break
            prompts.append(admitted)
        prompts = [s for s in prompts if s.ready and s.entry == "step"]
        chunks += (_fitting if "step" in self._whole else _share)(prompts, room)
        sources = [s for s in map(_to_encode, self.running) if s is not None]
        self._has_encoded = bool(sources) and not (chunks and self._has_encoded)
        return _fitting(sources, self._sizes.max_tokens) if self._has_encoded else chunks

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
            ready = sequence.remaining == 1 and sequence.ready and sequence.entry == "step"
            if ready and len(chunks) < self._sizes.max_tokens:
                while sequence.table is not None and not sequence.table.reserve(
                    len(sequence.tokens)
                ):
                    self._preempt(next(s for s in reversed(self.running) if s.entry == "step"))
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
        table = self._table(sequence)
        if sequence.keys is not None:
            known = (tokens - 1) // self._sizes.page_tokens
            table.share(self.pool.find(sequence.keys.upto(known)))
        shared = table.count
        spare = len(self.running) if sequence.entry == "step" else 0
        if not table.reserve(tokens, spare=spare) or not self._reserve_source(sequence):
            table.release()
            return None
        sequence.table = table
        sequence.computed = shared * self._sizes.page_tokens
        if sequence.reused is None:
            sequence.reused = sequence.computed
        self.running.append(self.waiting.popleft())
        return sequence

    def _table(self, sequence: Sequence) -> BlockTable:
        pool = self.pool if sequence.entry == "step" else self.source_pool
        return BlockTable(pool, self._sizes.page_tokens, self._most_pages)

    def _reserve_source(self, sequence: Sequence) -> bool:
        """Pages for all of what the encoder reads."""
        source = sequence.source
        if source is None:
            return True
        table = self._table(source)
        if not table.reserve(len(source.tokens)):
            return False
        source.table = table
        return True

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
        if sequence.source is not None:
            self._release(sequence.source)
            sequence.source.computed = 0


def _to_encode(sequence: Sequence) -> Sequence | None:
    """What the encoder is still to read of a running sequence."""
    if sequence.entry == "encode":
        return sequence
    return None if sequence.ready else sequence.source


def _fitting(sequences: list[Sequence], room: int) -> list[Chunk]:
    """Whole sequences, the first that come, as many as there is room for."""
    chunks: list[Chunk] = []
    for sequence in sequences:
        if sequence.remaining > room:
            break
        chunks.append(Chunk(sequence, sequence.remaining))
        room -= sequence.remaining
    return chunks


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
