"""relative_bias: the suite, and T5's buckets."""

from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of, vectors
from inferflow_backends.numpy.eager import EagerOps
from inferflow_blocks.attention import Attention
from inferflow_blocks.relative_bias import RelativeBias

from inferflow_core.errors import ShapeError
from inferflow_core.testing import PositionSuite

DISTANCES = np.arange(-300, 301)


class TestRelativeBias(PositionSuite):
    name = "relative_bias"

    def make(self) -> RelativeBias:
        return RelativeBias(buckets=8, max_distance=20, bidirectional=True)


class TestOneSide(PositionSuite):
    name = "relative_bias"

    def make(self) -> RelativeBias:
        return RelativeBias(buckets=8, max_distance=20)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("buckets", [4, 6, 8, 17, 32, 64, 100])
@pytest.mark.parametrize("most", [51, 64, 100, 128, 250, 1000])
def test_buckets_are_those_of_t5(
    bidirectional: bool, buckets: int, most: int, reference: Any
) -> None:
    block = RelativeBias(buckets=buckets, max_distance=most, bidirectional=bidirectional)
    bench = Bench(block, dims_of(8, heads=2))
    bench.handles["weight"] = np.tile(np.arange(buckets, dtype=np.float32), (2, 1))
    rule = bench.run(None, lengths=[1], call=lambda o, w, x, c: block.score_bias(o, w, c, heads=2))
    columns = np.arange(2)[:, None], np.array([[400]]), 400 + DISTANCES[None]
    found = rule(EagerOps(), *(column.astype(np.int32) for column in columns))
    theirs = reference.code("t5").T5Attention._relative_position_bucket(
        reference.tensor(DISTANCES), bidirectional, buckets, most
    )
    assert np.array_equal(found, np.tile(theirs.numpy(), (2, 1)))


def test_attention_equals_t5(reference: Any) -> None:
    """Whole, with its own table; T5 does not scale its scores."""
    position = RelativeBias(buckets=8, max_distance=20, bidirectional=True)
    block = Attention(heads=4, head_dim=5, scale=1.0, causal=False, position=position)
    bench = Bench(block, dims_of(12))
    config = reference.config(
        "t5",
        d_model=12,
        d_kv=5,
        num_heads=4,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=20,
    )
    theirs = reference.code("t5").T5Attention(config, has_relative_attention_bias=True)
    weights = {f"{name}.weight": bench.handles[f"{name}.weight"] for name in "qkvo"}
    weights["relative_attention_bias.weight"] = bench.handles["position.weight"].T
    reference.filled(theirs, weights)
    x = vectors(30, 12)
    found = reference.run(theirs, reference.tensor(x)[None])
    close(bench.run(x), found)


def test_numbers_that_make_no_buckets() -> None:
    with pytest.raises(ValueError, match="buckets is 1; it must be 2"):
        RelativeBias(buckets=1, max_distance=20)
    with pytest.raises(ValueError, match="buckets is 3; it must be 4"):
        RelativeBias(buckets=3, max_distance=20, bidirectional=True)
    with pytest.raises(ValueError, match="max_distance is 16; it must be above 16"):
        RelativeBias(buckets=32, max_distance=16)


def test_it_needs_heads() -> None:
    with pytest.raises(ShapeError, match="a mixer that has heads"):
        RelativeBias(buckets=8, max_distance=20).params(dims_of(8))
