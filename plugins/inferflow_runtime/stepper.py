"""One step of the engine: from the scheduler's plan to what each sequence makes of its rows."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inferflow_core.errors import InferflowError
from inferflow_core.interfaces import Program, ProgramEntry
from inferflow_runtime.batch import assemble
from inferflow_runtime.evaluation import Evaluation
from inferflow_runtime.generation import Generation
from inferflow_runtime.sampling import Row, SamplerChain, logprobs
from inferflow_runtime.scheduler import Scheduler
from inferflow_runtime.sequence import Sequence as Running

Array = np.ndarray[Any, np.dtype[Any]]

log = logging.getLogger(__name__)


class Stepper:
    """Used in the engine's thread only. What it raises comes from the program."""

    def __init__(
        self,
        program: Program,
        entries: Mapping[str, ProgramEntry],
        scheduler: Scheduler,
        chain: SamplerChain,
        page_tokens: int,
    ) -> None:
        self.steps = 0
        self._entries = entries
        self._program = program
        self._scheduler = scheduler
        self._chain = chain
        self._page_tokens = page_tokens

    def step(self) -> None:
        """Plans, runs and accounts for one step, if there is anything to run."""
        chunks = self._scheduler.plan()
        if not chunks:
            return
        step, rows = assemble(chunks, self._page_tokens)
        wanted = {
            chunk.sequence.task.output
            for chunk, part in zip(chunks, rows, strict=True)
            if part.start < part.stop
        }
        outputs = self._program.submit(step, sorted(wanted)).result()
        self.steps += 1
        drawing: list[tuple[Running, Generation]] = []
        drawn_rows: list[int] = []
        per_sequence = self._entries[step.entry].outputs
        for place, (chunk, part) in enumerate(zip(chunks, rows, strict=True)):
            sequence = chunk.sequence
            self._scheduler.advance(sequence, chunk.count)
            match sequence.task:
                case Evaluation() as task:
                    own = place if per_sequence[task.output] else part
                    task.accept(outputs[task.output][own])
                    if not sequence.remaining:
                        self._scheduler.remove(sequence)
                        task.finish()
                case Generation() as task if not sequence.remaining:
                    drawing.append((sequence, task))
                    drawn_rows.append(part.start)
                case _:
                    pass
        if drawing:
            self._draw(drawing, outputs["logits"], drawn_rows)

    def _draw(
        self, drawing: Sequence[tuple[Running, Generation]], logits: Array, rows: Sequence[int]
    ) -> None:
        if len(rows) != len(logits):
            logits = logits[rows]
        choices = self._chain.choose(
            logits,
            [
                Row(task.values, task.seed, task.count, sequence.tokens, len(task.request.ids))
                for sequence, task in drawing
            ],
        )
        for (sequence, task), row, choice in zip(drawing, logits, choices, strict=True):
            if isinstance(choice, InferflowError):
                self._fail(sequence, choice.message)
                continue
            sequence.tokens.append(choice)
            task.reused = sequence.reused or 0
            try:
                n = task.request.logprobs
                task.accept(choice, *((None, ()) if n is None else logprobs(row, choice, n)))
            except BaseException as cause:
                # A tokenizer's native library panics with a BaseException.
                log.exception("the text of a request failed")
                self._fail(sequence, f"decoding failed: {type(cause).__name__}: {cause}")
                continue
            if task.finished:
                self._scheduler.remove(sequence)

    def _fail(self, sequence: Running, message: str) -> None:
        self._scheduler.remove(sequence)
        sequence.task.end("error", message)
