"""The reference backend's prober: runs any model on random weights, for the conformance suites."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal
from zlib import crc32

import numpy as np

from inferflow_backends.numpy.eager import EagerOps
from inferflow_core.axes import Axis, Dims
from inferflow_core.block import Block, Model, Scope, all_aliases, all_params, all_states
from inferflow_core.context import Context
from inferflow_core.graph import Graph
from inferflow_core.interfaces import Program, Sizes, Step
from inferflow_core.optable import OpTable
from inferflow_core.tracer import INPUTS, trace

Compile = Callable[[Graph, Mapping[str, Any], Sizes], Program]

OUTPUT = {"step": "logits", "encode": "hidden"}
PAGE_TOKENS = 16
CONTEXT = 128


@dataclass(frozen=True)
class RandomWeight:
    """A Weight of made-up numbers."""

    numbers: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return self.numbers.shape

    @property
    def format(self) -> str:
        return "f32"

    def packed(self) -> Any:
        return self.numbers.reshape(len(self.numbers), -1).view(np.uint8)

    def values(self) -> Any:
        return self.numbers


def random_weights(model: Model, seed: int) -> dict[str, RandomWeight]:
    """Matrices of unit gain, vectors around one; each depends on its path and the seed alone."""
    weights: dict[str, RandomWeight] = {}
    for path, param in all_params(model, model.dims(CONTEXT)).items():
        rng = np.random.default_rng([seed, crc32(path.encode())])
        numbers = rng.standard_normal(param.shape).astype(np.float32)
        scaled = 1 + numbers / 4 if numbers.ndim == 1 else numbers * param.shape[-1] ** -0.5
        weights[path] = RandomWeight(scaled.astype(np.float32))
    return weights


@dataclass(frozen=True)
class NumpyProber:
    """See `inferflow_core.testing.probe.Prober`. The two ways to compile: with a backend's own ops,
    and with the required ones alone."""

    table: OpTable
    compile: Compile
    compile_decomposed: Compile

    def run(
        self,
        model: Model,
        sequences: Sequence[Sequence[int]],
        *,
        how: Literal["eager", "traced", "decomposed"] = "traced",
        chunk: int | None = None,
        shuffle_pages: bool = False,
        seed: int = 0,
    ) -> list[bytes]:
        weights = random_weights(model, seed)
        pages = sum(-(-len(s) // PAGE_TOKENS) for s in sequences) + 1
        total = sum(map(len, sequences))
        sizes = Sizes(pages, PAGE_TOKENS, total, len(sequences), CONTEXT, source_pages=pages)
        tables = _tables(sequences, shuffle_pages)
        rows: list[list[Any]] = [[] for _ in sequences]
        with self._running(how, model, weights, sizes) as submit:
            if "encode" in model.entries():
                ((_, step),) = _steps(sequences, None, tables)
                submit(replace(step, entry="encode"))
            for active, step in _steps(sequences, chunk, tables):
                logits = submit(_with_source(step, [sequences[n] for n in active]))
                for place, number in enumerate(active):
                    rows[number].append(logits[step.offsets[place] : step.offsets[place + 1]])
        return [np.concatenate(parts).astype(np.float32).tobytes() for parts in rows]

    def array(self, numbers: Sequence[float], shape: Sequence[int]) -> Any:
        return np.array(numbers, np.float32).reshape(tuple(shape))

    def apply(self, block: Block, weights: Mapping[str, Any], x: Any) -> Any:
        x = np.asarray(x, np.float32)
        handles = {path: np.asarray(numbers, np.float32) for path, numbers in weights.items()}
        tokens = [list(range(len(x)))]
        ((_, step),) = _steps(tokens, None, _tables(tokens, False))
        dims = Dims(Axis("hidden", x.shape[-1]), Axis("vocab", len(x)), CONTEXT)
        context = Context(dims=dims, **_columns(step))
        return block(EagerOps(self.table), Scope(handles), x, context)

    @contextmanager
    def _running(
        self, how: str, model: Model, weights: Mapping[str, RandomWeight], sizes: Sizes
    ) -> Generator[Callable[[Step], Any]]:
        """A step -> its output."""
        if how == "eager":
            yield self._eager(model, weights, sizes)
            return
        build = self.compile if how == "traced" else self.compile_decomposed
        program = build(trace(model, model.dims(sizes.context), self.table), weights, sizes)

        def run(step: Step) -> Any:
            name = OUTPUT[step.entry]
            return program.submit(step, (name,)).result()[name].copy()

        yield run
        program.close()

    def _eager(
        self, model: Model, weights: Mapping[str, RandomWeight], sizes: Sizes
    ) -> Callable[[Step], Any]:
        dims = model.dims(sizes.context)
        handles: dict[str, Any] = {path: weight.values() for path, weight in weights.items()}
        for path, state in all_states(model, dims).items():
            shape = (sizes.pages, PAGE_TOKENS, *(axis.length for axis in state.axes))
            handles[path] = np.zeros(shape, np.float32)
        handles |= {path: handles[target] for path, target in all_aliases(model, dims).items()}
        entries, ops = model.entries(), EagerOps(self.table)

        def run(step: Step) -> Any:
            context = Context(dims=dims, **_columns(step))
            return entries[step.entry](ops, Scope(handles), context)[OUTPUT[step.entry]]

        return run


def _columns(step: Step) -> dict[str, Any]:
    """A step's columns as blocks see them."""
    columns = {name: getattr(step, name) for name in INPUTS}
    return columns | {"token_types": np.zeros_like(step.ids)}


def _with_source(step: Step, sequences: Sequence[Sequence[int]]) -> Step:
    """The step of sequences that are their own source, in the same pages of its own cache."""
    lengths = np.array([len(sequence) for sequence in sequences], np.int32)
    return replace(step, source_lengths=lengths, source_tables=step.block_tables)


def _tables(sequences: Sequence[Sequence[int]], shuffle: bool) -> list[list[int]]:
    counts = [-(-len(s) // PAGE_TOKENS) for s in sequences]
    pages = np.arange(1, sum(counts) + 1)
    if shuffle:
        np.random.default_rng(1).shuffle(pages)
    ends = np.cumsum(counts)
    return [pages[end - count : end].tolist() for count, end in zip(counts, ends, strict=True)]


def _steps(
    sequences: Sequence[Sequence[int]], chunk: int | None, tables: list[list[int]]
) -> Iterator[tuple[list[int], Step]]:
    done = [0] * len(sequences)
    width = max(map(len, tables))
    while active := [n for n, s in enumerate(sequences) if done[n] < len(s)]:
        counts = [min(chunk or 10**9, len(sequences[n]) - done[n]) for n in active]
        spans = [(done[n], done[n] + count) for n, count in zip(active, counts, strict=True)]
        ids = [i for n, (a, b) in zip(active, spans, strict=True) for i in sequences[n][a:b]]
        for n, (_, end) in zip(active, spans, strict=True):
            done[n] = end
        columns: dict[str, Any] = {
            "ids": ids,
            "positions": [p for span in spans for p in range(*span)],
            "seq_of": np.repeat(np.arange(len(active)), counts),
            "offsets": np.concatenate([[0], np.cumsum(counts)]),
            "lengths": [end for _, end in spans],
            "block_tables": [tables[n] + [0] * (width - len(tables[n])) for n in active],
            "out_rows": np.arange(len(ids)),
        }
        arrays: dict[str, Any] = {k: np.asarray(v, np.int32) for k, v in columns.items()}
        yield active, Step(**arrays)
