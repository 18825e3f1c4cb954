"""A program whose logits are a function of the tokens it finds through the block tables."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from inferflow_runtime.continuous import ContinuousEngine
from inferflow_samplers.min_p import MinP
from inferflow_samplers.temperature import Temperature
from inferflow_samplers.top_k import TopK
from inferflow_samplers.top_p import TopP

from inferflow_core.interfaces import ProgramEntry, Sizes, Step, TokenEvent

VOCAB = 40
ENTRIES = {"step": ProgramEntry({"logits": False, "hidden": False})}


def logits_of(history: Sequence[int]) -> np.ndarray[Any, Any]:
    """float32 [vocab], drawn from the history alone."""
    seed = crc32(np.array(history, np.int32).tobytes())
    return np.random.default_rng(seed).standard_normal(VOCAB).astype(np.float32) * 3


def greedy_of(prompt: Sequence[int], count: int) -> list[int]:
    """What any correct engine generates."""
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(int(logits_of(tokens).argmax()))
    return tokens[len(prompt) :]


@dataclass
class Ready:
    outputs: dict[str, Any]

    def result(self) -> dict[str, Any]:
        return self.outputs


@dataclass
class FakeProgram:
    sizes: Sizes
    steps: list[Step] = field(default_factory=list)
    copies: list[tuple[int, int]] = field(default_factory=list)
    gate: threading.Event | None = None
    fail_at: int | None = None
    closed: bool = False

    def __post_init__(self) -> None:
        self.memory = np.full((self.sizes.pages, self.sizes.page_tokens), -1)
        self._buffer = np.zeros((self.sizes.max_tokens, VOCAB), np.float32)

    def submit(self, step: Step, outputs: Sequence[str] = ("logits",)) -> Ready:
        if self.gate is not None:
            assert self.gate.wait(10)
        if self.fail_at is not None and len(self.steps) >= self.fail_at:
            raise RuntimeError("the device is gone")
        self.steps.append(step)
        self._check(step)
        size = self.sizes.page_tokens
        for token, position, s in zip(step.ids, step.positions, step.seq_of, strict=True):
            page = step.block_tables[s, position // size]
            assert page > 0, "a token went to the padding page"
            self.memory[page, position % size] = token
        histories = []
        for row in step.out_rows:
            s, end = step.seq_of[row], step.positions[row] + 1
            pages = step.block_tables[s, : -(-end // size)]
            own = self.memory[pages].reshape(-1)[:end].tolist()
            histories.append(self._known(step, int(s)) + own)
        rows = self._buffer[: len(histories)]
        for row, history in zip(rows, histories, strict=True):
            row[:] = logits_of(history)
        assert bool(len(rows)) == bool(outputs), "outputs that no row wants"
        return Ready({name: rows if name == "logits" else rows[:, :8] for name in outputs})

    def _check(self, step: Step) -> None:
        tokens, sequences = len(step.ids), len(step.lengths)
        assert 0 < tokens <= self.sizes.max_tokens
        assert 0 < sequences <= self.sizes.max_sequences
        assert step.offsets[0] == 0
        assert step.offsets[-1] == tokens
        for s in range(sequences):
            begin, end = step.offsets[s], step.offsets[s + 1]
            assert begin < end
            assert (step.seq_of[begin:end] == s).all()
            assert step.positions[begin:end].tolist() == list(
                range(step.lengths[s] - (end - begin), step.lengths[s])
            )
        for array in (step.ids, step.positions, step.seq_of, step.offsets, step.lengths):
            assert array.dtype == np.int32
        assert step.block_tables.dtype == step.out_rows.dtype == np.int32

    def _known(self, step: Step, s: int) -> list[int]:
        """What a sequence's logits depend on beside its own tokens."""
        return []

    def copy_page(self, source: int, target: int) -> None:
        self.copies.append((source, target))
        self.memory[target] = self.memory[source]

    def close(self) -> None:
        self.closed = True


SOURCE_ENTRIES = {**ENTRIES, "encode": ProgramEntry({"hidden": False}, whole=True)}


@dataclass
class FakeEncoderDecoder(FakeProgram):
    """Its logits depend on what the encoder has read too, found through the source's pages."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.read = np.full((self.sizes.source_pages, self.sizes.page_tokens), -1)

    def submit(self, step: Step, outputs: Sequence[str] = ("logits",)) -> Ready:
        if step.entry == "step":
            return super().submit(step, outputs)
        decoder, self.memory = self.memory, self.read
        try:
            assert step.source_tables is None
            assert (step.lengths == np.diff(step.offsets)).all(), "a source came in parts"
            return super().submit(step, outputs)
        finally:
            self.memory = decoder

    def _known(self, step: Step, s: int) -> list[int]:
        if step.entry == "encode":
            return []
        assert step.source_lengths is not None
        assert step.source_tables is not None
        assert step.source_lengths.dtype == step.source_tables.dtype == np.int32
        length = int(step.source_lengths[s])
        pages = step.source_tables[s, : -(-length // self.sizes.page_tokens)]
        assert (pages > 0).all(), "a source is on the padding page"
        return [*self.read[pages].reshape(-1)[:length].tolist(), -1]


class Letters:
    """A tokenizer of one letter a token: id 0 is "a"; ids past "z" are two letters."""

    vocab_size = VOCAB
    bos = None
    eos = None
    stop_ids: frozenset[int] = frozenset()
    chat_template = None

    def token(self, id: int) -> str:
        return chr(97 + id) if id < 26 else "A" + chr(71 + id)

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        return "".join(map(self.token, ids))

    def encode(self, text: str, *, special: bool = True, parse_special: bool = False) -> list[int]:
        return [ord(letter) - 97 for letter in text]

    def token_id(self, token: str) -> int | None:
        return None

    def stream(self, *, skip_special: bool = True, prompt: Sequence[int] = ()) -> "Letters":
        return self

    def push(self, token: int) -> str:
        return self.token(token)

    def flush(self) -> str:
        return ""


Make = Callable[..., tuple[ContinuousEngine, FakeProgram]]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes an engine on a fake program; all are closed at the end, and their pages counted."""
    engines: list[ContinuousEngine] = []

    def build(
        *,
        pages: int = 64,
        page_tokens: int = 4,
        max_tokens: int = 64,
        max_sequences: int = 8,
        context: int = 128,
        source_pages: int = 0,
        program: FakeProgram | None = None,
        **options: Any,
    ) -> tuple[ContinuousEngine, FakeProgram]:
        sizes = Sizes(
            *(pages, page_tokens, max_tokens, max_sequences, context), source_pages=source_pages
        )
        kind = FakeEncoderDecoder if source_pages else FakeProgram
        program = program or kind(sizes)
        options.setdefault("samplers", (Temperature(), TopK(), TopP(), MinP()))
        options.setdefault("tokenizer", Letters)
        options.setdefault("entries", SOURCE_ENTRIES if source_pages else ENTRIES)
        engine = ContinuousEngine(program, sizes=sizes, vocab=VOCAB, **options)
        engines.append(engine)
        return engine, program

    yield build
    for engine in engines:
        if program_gate := getattr(engine._program, "gate", None):
            program_gate.set()
        engine.close()
        engine._scheduler.pool.check([])
        engine._scheduler.source_pool.check([])


@pytest.fixture
def fake() -> SimpleNamespace:
    """What the fake model would say, for tests that cannot import this file."""
    return SimpleNamespace(vocab=VOCAB, logits_of=logits_of, greedy_of=greedy_of)


def tokens_of(events: Sequence[TokenEvent]) -> list[int]:
    return [event.token for event in events if event.token is not None]


@pytest.fixture
def tokens() -> Callable[[Sequence[TokenEvent]], list[int]]:
    return tokens_of


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


@pytest.fixture
def wait_for() -> Callable[..., None]:
    return wait_until


@pytest.fixture
def gated(make: Make) -> Callable[..., Any]:
    """An engine whose steps wait for `gate`."""

    def build(**options: Any) -> tuple[ContinuousEngine, FakeProgram, threading.Event]:
        engine, program = make(**options)
        program.gate = threading.Event()
        return engine, program, program.gate

    return build
