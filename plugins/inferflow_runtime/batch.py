"""From chunks to the arrays of a step, and from its outputs back to each chunk's rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from inferflow_core.interfaces import Step
from inferflow_runtime.scheduler import Chunk
from inferflow_runtime.sequence import Sequence as Running

Array = np.ndarray[Any, np.dtype[Any]]


def assemble(chunks: Sequence[Chunk], page_tokens: int) -> tuple[Step, list[slice]]:
    """The step of some chunks, and for each chunk the slice of the output's rows that are its:
    one for every token, the last one alone, or none while a prompt is not at its end."""
    ids: list[int] = []
    wanted: list[Array] = []
    rows: list[slice] = []
    first_row = 0
    for chunk in chunks:
        sequence = chunk.sequence
        begin = len(ids)
        ids += sequence.tokens[sequence.computed : sequence.computed + chunk.count]
        if not sequence.task.output:
            own = np.zeros(0, np.int32)
        elif sequence.task.every_row:
            own = np.arange(begin, len(ids), dtype=np.int32)
        else:
            ends = chunk.count == sequence.remaining
            own = np.arange(len(ids) - ends, len(ids), dtype=np.int32)
        wanted.append(own)
        rows.append(slice(first_row, first_row + len(own)))
        first_row += len(own)
    counts = np.array([chunk.count for chunk in chunks], np.int32)
    starts = np.array([chunk.sequence.computed for chunk in chunks], np.int32)
    offsets = np.zeros(len(chunks) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    lengths = starts + counts
    positions = np.arange(len(ids), dtype=np.int32) + np.repeat(starts - offsets[:-1], counts)
    step = Step(
        ids=np.array(ids, np.int32),
        positions=positions,
        seq_of=np.repeat(np.arange(len(chunks), dtype=np.int32), counts),
        offsets=offsets,
        lengths=lengths,
        block_tables=_tables(
            [chunk.sequence for chunk in chunks], -(-int(lengths.max()) // page_tokens)
        ),
        out_rows=np.concatenate(wanted),
        token_types=_token_types(chunks),
        entry=chunks[0].sequence.entry,
        **_sources([chunk.sequence.source for chunk in chunks], page_tokens),
    )
    return step, rows


def _tables(sequences: Sequence[Running], pages: int) -> Array:
    tables = np.zeros((len(sequences), pages), np.int32)
    for i, sequence in enumerate(sequences):
        if sequence.table is not None:
            tables[i] = sequence.table.row[:pages]
    return tables


def _sources(sources: Sequence[Running | None], page_tokens: int) -> dict[str, Array]:
    """The columns of what the encoder has read; none where there is no encoder."""
    known = [source for source in sources if source is not None]
    if not known:
        return {}
    lengths = np.array([len(source.tokens) for source in known], np.int32)
    tables = _tables(known, -(-int(lengths.max()) // page_tokens))
    return {"source_lengths": lengths, "source_tables": tables}


def _token_types(chunks: Sequence[Chunk]) -> Array | None:
    if all(chunk.sequence.token_types is None for chunk in chunks):
        return None
    types: list[int] = []
    for chunk in chunks:
        begin, given = chunk.sequence.computed, chunk.sequence.token_types
        types += [0] * chunk.count if given is None else given[begin : begin + chunk.count]
    return np.array(types, np.int32)
