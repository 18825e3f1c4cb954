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
    positions: list[int] = []
    seq_of: list[int] = []
    offsets = [0]
    lengths: list[int] = []
    out_rows: list[int] = []
    rows: list[slice] = []
    for place, chunk in enumerate(chunks):
        sequence, count = chunk.sequence, chunk.count
        start, task = sequence.computed, sequence.task
        ids += sequence.tokens[start : start + count]
        positions += range(start, start + count)
        seq_of += [place] * count
        offsets.append(len(ids))
        lengths.append(start + count)
        wanted = 0
        if task.output:
            wanted = count if task.every_row else int(count == sequence.remaining)
        rows.append(slice(len(out_rows), len(out_rows) + wanted))
        out_rows += range(len(ids) - wanted, len(ids))
    step = Step(
        ids=np.array(ids, np.int32),
        positions=np.array(positions, np.int32),
        seq_of=np.array(seq_of, np.int32),
        offsets=np.array(offsets, np.int32),
        lengths=np.array(lengths, np.int32),
        block_tables=_tables([chunk.sequence for chunk in chunks], -(-max(lengths) // page_tokens)),
        out_rows=np.array(out_rows, np.int32),
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
