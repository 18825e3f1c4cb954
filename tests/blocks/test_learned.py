"""learned: the suite, and OPT's table."""

from typing import Any

import pytest
from eager import Bench, close, dims_of
from inferflow_blocks.learned import Learned

from inferflow_core.errors import ShapeError
from inferflow_core.testing import PositionSuite


class TestLearned(PositionSuite):
    name = "learned"

    def make(self) -> Learned:
        return Learned(rows=130, offset=2)


def rows(block: Learned, lengths: list[int], context: int = 16) -> tuple[Bench, Any]:
    bench = Bench(block, dims_of(6, context=context))
    return bench, bench.run(None, lengths=lengths, call=lambda o, w, x, ctx: block.embed(o, w, ctx))


def test_equals_opt(reference: Any) -> None:
    bench, found = rows(Learned(rows=18, offset=2), [16])
    table = reference.code("opt").OPTLearnedPositionalEmbedding(16, 6)
    reference.filled(table, bench.handles)
    close(found, reference.run(table, reference.torch.ones(1, 16)))


def test_every_sequence_begins_at_the_offset() -> None:
    bench, found = rows(Learned(rows=20, offset=3), [2, 1, 4])
    assert (found == bench.handles["weight"][[3, 4, 3, 3, 4, 5, 6]]).all()


def test_a_context_beyond_the_table_is_told_before_weights_load() -> None:
    rows(Learned(rows=18, offset=2), [1], context=16)
    with pytest.raises(
        ShapeError, match=r"(?s)18 rows, enough for 16 tokens, .* context is 17.*context=16"
    ):
        rows(Learned(rows=18, offset=2), [1], context=17)


def test_sizes_that_make_no_table() -> None:
    with pytest.raises(ValueError, match="rows is 0"):
        Learned(rows=0)
    with pytest.raises(ValueError, match="offset is -1"):
        Learned(rows=4, offset=-1)
    with pytest.raises(ValueError, match="offset 4 leaves no position of 4 rows"):
        Learned(rows=4, offset=4)
