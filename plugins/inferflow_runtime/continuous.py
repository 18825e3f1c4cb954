"""The engine `continuous`: iteration-level batching in a thread of its own."""

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import numpy as np

from inferflow_core.catalog import Catalog
from inferflow_core.errors import EngineError, OverloadedError
from inferflow_core.interfaces import (
    Finding,
    LoadedModel,
    OpTime,
    Profiled,
    Program,
    ProgramEntry,
    Request,
    Sampler,
    Sizes,
    Stats,
    TokenEvent,
    Tokenizer,
)
from inferflow_runtime import sequence as seq
from inferflow_runtime.evaluation import Evaluation
from inferflow_runtime.generation import Generation
from inferflow_runtime.limits import check_request, check_rows
from inferflow_runtime.prefix import PrefixKeys
from inferflow_runtime.sampling import SamplerChain
from inferflow_runtime.scheduler import Scheduler
from inferflow_runtime.stepper import Stepper
from inferflow_runtime.stream import EventStream

Array = np.ndarray[Any, np.dtype[Any]]

HEARTBEAT_S = 0.5
"""How often an idle engine shows that it lives."""

log = logging.getLogger(__name__)


class ContinuousEngine:
    """Runs one Program. Everything but `submit`, `evaluate`, `stats`, `close` and a stream's
    `cancel` happens in the engine's own thread, so nothing else needs a lock."""

    @staticmethod
    def open(reference: str | Path, **options: Any) -> LoadedModel:
        """A model on the engine that its spec names; see `build.open_model`."""
        from inferflow_runtime.build import open_model

        return open_model(reference, **options)

    @staticmethod
    def inspect(reference: str | Path, **options: Any) -> Any:
        """A model up to its traced and bound network; see `build.inspect_model`."""
        from inferflow_runtime.build import inspect_model

        return inspect_model(reference, **options)

    @staticmethod
    def describe(reference: str | Path, **options: Any) -> Any:
        """All that can be said of a model as plain data; see `describe.describe`."""
        from inferflow_runtime.describe import describe

        return describe(reference, **options)

    @staticmethod
    def rewrites(reference: str | Path, **options: Any) -> Any:
        """What the passes of its backend make of a model; see `rewrites.rewrites`."""
        from inferflow_runtime.rewrites import rewrites

        return rewrites(reference, **options)

    @staticmethod
    def plan_memory(reference: str | Path, **options: Any) -> Any:
        """How much memory a model will take, and what fits; see `memory.plan_memory`."""
        from inferflow_runtime.memory import plan_memory

        return plan_memory(reference, **options)

    @staticmethod
    def convert(reference: str | Path, file: IO[bytes], **options: Any) -> Any:
        """Writes a model as one file; see `convert.convert`."""
        from inferflow_runtime.convert import convert

        return convert(reference, file, **options)

    @staticmethod
    def examine(catalog: Catalog) -> list[Finding]:
        """Memory and backends of this machine; see `examine.examine`."""
        from inferflow_runtime.examine import examine

        return examine(catalog)

    @staticmethod
    def tokenizer(reference: str | Path, **options: Any) -> Tokenizer:
        """The tokenizer of a model alone; see `look.tokenizer_of`."""
        from inferflow_runtime.look import tokenizer_of

        return tokenizer_of(reference, **options)

    def __init__(
        self,
        program: Program,
        *,
        sizes: Sizes,
        vocab: int,
        samplers: Sequence[Sampler] = (),
        tokenizer: Callable[[], Tokenizer | None] = lambda: None,
        stop_ids: Collection[int] = (),
        entries: Mapping[str, ProgramEntry],
        max_queue: int = 256,
        prefix_cache: bool = True,
    ) -> None:
        self.context = sizes.context
        self.max_sequences = sizes.max_sequences
        self._program = program
        self._sizes = sizes
        self._vocab = vocab
        self._chain = SamplerChain(samplers)
        self._open_tokenizer = tokenizer
        self._own_stop_ids = frozenset(stop_ids)
        self._entries = entries
        self._max_queue = max_queue
        self._prefix_cache = prefix_cache
        whole = [name for name, entry in entries.items() if entry.whole]
        if whole and sizes.max_tokens < sizes.context:
            raise ValueError(f"max_tokens must be the context where {whole} come whole")
        self._scheduler = Scheduler(sizes, whole)
        self._stepper = Stepper(program, entries, self._scheduler, self._chain, sizes.page_tokens)
        self._numbers = count(1)
        self._wake = threading.Condition()
        self._inbox: deque[seq.Sequence] = deque()
        self._closing = False
        self._draining = False
        self._ended: EngineError | None = None
        self._heartbeat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="inferflow-engine", daemon=True)
        self._thread.start()

    def submit(
        self, request: Request, sink: Callable[[TokenEvent], None] | None = None
    ) -> EventStream:
        """See `interfaces.Engine.submit`."""
        tokenizer = self._tokenizer
        check_request(
            request,
            self._entries,
            context=self.context,
            vocab=self._vocab,
            text=tokenizer is not None,
        )
        events: SimpleQueue[TokenEvent] = SimpleQueue()
        stop_ids = frozenset[int]() if request.ignore_stop_ids else self._stop_ids
        tokens = list(request.ids)
        task = Generation(
            request,
            values=self._chain.values(request.sampling),
            seed=secrets.randbits(64) if request.seed is None else request.seed,
            stop_ids=stop_ids | request.stop_ids,
            most_tokens=min(request.max_tokens, self.context - len(tokens)),
            decoder=tokenizer.stream(prompt=request.ids) if tokenizer else None,
            deliver=sink or events.put,
        )
        keys = None
        if self._prefix_cache and request.reuse_prefix and not request.source:
            keys = PrefixKeys(tokens, self._sizes.page_tokens, salt=request.salt)
        source = _source(request.source) if request.source else None
        self._queue([seq.Sequence(task=task, tokens=tokens, keys=keys, source=source)])
        return EventStream(
            next(self._numbers),
            events if sink is None else None,
            cancel=lambda: self._cancel([task]),
            engine_lives=self._thread.is_alive,
        )

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
        """See `interfaces.Engine.evaluate`. No prefix is reused: every row is computed."""
        check_rows(
            ids,
            source,
            token_types,
            output,
            chunk,
            context=self.context,
            vocab=self._vocab,
            entries=self._entries,
            entry=entry,
        )
        results: list[Array] = []
        for first in range(0, len(ids), self.max_sequences):
            some = range(first, min(first + self.max_sequences, len(ids)))
            tasks = [Evaluation(output) for _ in some]
            sequences = [
                seq.Sequence(
                    task=task,
                    tokens=list(ids[i]),
                    keys=None,
                    token_types=None if token_types is None else token_types[i],
                    chunk=chunk,
                    entry=entry,
                    source=None if source is None else _source(source[i]),
                )
                for i, task in zip(some, tasks, strict=True)
            ]
            self._queue(sequences)
            try:
                results += [task.result.result() for task in tasks]
            finally:
                self._cancel(tasks)
        return results

    @cached_property
    def _tokenizer(self) -> Tokenizer | None:
        """Opened with the first request: evaluations need none."""
        return self._open_tokenizer()

    @cached_property
    def _stop_ids(self) -> frozenset[int]:
        return self._own_stop_ids | (self._tokenizer.stop_ids if self._tokenizer else frozenset())

    def stats(self) -> Stats:
        """See `interfaces.Engine.stats`."""
        return Stats(
            running=len(self._scheduler.running),
            waiting=len(self._scheduler.waiting) + len(self._inbox),
            pages=self._sizes.pages - 1,
            free_pages=self._scheduler.pool.available,
            heartbeat_age_s=time.monotonic() - self._heartbeat,
            steps=self._stepper.steps,
            alive=self._ended is None,
            source_pages=max(0, self._sizes.source_pages - 1),
            free_source_pages=self._scheduler.source_pool.available,
        )

    def profile(self) -> Sequence[OpTime]:
        """See `interfaces.Profiled`; for the engine's thread, or while nothing runs. Empty where
        the program does not tell."""
        return self._program.profile() if isinstance(self._program, Profiled) else []

    def close(self, *, drain: bool = False) -> None:
        """See `interfaces.Engine.close`. Waits for the thread, unless it is called in it."""
        with self._wake:
            self._draining = drain and not self._closing
            self._closing = True
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _queue(self, sequences: Sequence[seq.Sequence]) -> None:
        with self._wake:
            if self._ended is not None:
                raise self._ended
            if self._closing:
                raise EngineError("the engine is closing and takes no more requests")
            waiting = len(self._inbox) + len(self._scheduler.waiting)
            if waiting and waiting + len(sequences) > self._max_queue:
                raise OverloadedError(
                    f"{waiting} requests are waiting; the queue holds {self._max_queue}",
                    hint="try again later",
                )
            self._inbox.extend(sequences)
            self._wake.notify()

    def _cancel(self, tasks: Sequence[seq.Task]) -> None:
        for task in tasks:
            task.cancelled = True
        with self._wake:
            self._wake.notify()

    # What follows runs in the engine's thread.

    def _run(self) -> None:
        ended = EngineError("the engine is closed")
        reason = "cancelled"
        try:
            while self._gather():
                self._stepper.step()
        except BaseException as cause:
            log.exception("the engine has died")
            ended = EngineError(f"the engine has died: {type(cause).__name__}: {cause}")
            reason = "error"
        with self._wake:
            self._ended = ended
            self._scheduler.waiting.extend(self._inbox)
            self._inbox.clear()
        for sequence in self._scheduler.everyone():
            self._scheduler.remove(sequence)
            sequence.task.end(reason, ended.message if reason == "error" else None)
        try:
            self._program.close()
        except Exception:
            log.exception("the program did not close")

    def _gather(self) -> bool:
        """Waits for something to do and takes it in; False when the engine is to end."""
        with self._wake:
            while not (self._inbox or self._closing or self._busy):
                self._heartbeat = time.monotonic()
                self._wake.wait(HEARTBEAT_S)
            self._scheduler.waiting.extend(self._inbox)
            self._inbox.clear()
            if self._closing and not (self._draining and self._busy):
                return False
        self._heartbeat = time.monotonic()
        for sequence in self._scheduler.everyone():
            if sequence.task.cancelled:
                self._scheduler.remove(sequence)
                sequence.task.end("cancelled")
        return True

    @property
    def _busy(self) -> bool:
        return bool(self._scheduler.running or self._scheduler.waiting)


def _source(ids: Sequence[int]) -> seq.Sequence:
    return seq.Sequence(task=seq.Encoding(), tokens=list(ids), keys=None, entry="encode")
