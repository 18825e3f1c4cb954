"""pooler: the suite, Bert's, and the poolings of sentence-transformers written with loops."""

from typing import Any, Literal

import numpy as np
import pytest
from eager import Bench, close, dims_of, renamed, vectors
from inferflow_blocks.pooler import Pooler

from inferflow_core.testing import HeadSuite


class TestPooler(HeadSuite):
    name = "pooler"

    def make(self) -> Pooler:
        return Pooler()


class TestMean(HeadSuite):
    name = "pooler"

    def make(self) -> Pooler:
        return Pooler(pool="mean", dense=False, normalize=True)


class TestLast(HeadSuite):
    name = "pooler"

    def make(self) -> Pooler:
        return Pooler(pool="last", act="relu")


LENGTHS = [3, 1, 17]


def test_equals_bert(reference: Any) -> None:
    bench = Bench(Pooler(), dims_of(24))
    config = reference.config("bert", hidden_size=24, num_attention_heads=4)
    theirs = reference.filled(
        reference.code("bert").BertPooler(config), renamed(bench.weights, {"dense": "dense"})
    )
    x = vectors(sum(LENGTHS), 24)
    each = np.split(x, np.cumsum(LENGTHS)[:-1])
    expected = [reference.run(theirs, reference.tensor(one)[None]) for one in each]
    close(bench.run(x, lengths=LENGTHS), np.stack(expected))


@pytest.mark.parametrize("pool", ["first", "last", "mean"])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("dense", [True, False])
def test_every_field(pool: Literal["first", "last", "mean"], normalize: bool, dense: bool) -> None:
    bench = Bench(Pooler(pool=pool, normalize=normalize, dense=dense, act="silu"), dims_of(24))
    x = vectors(sum(LENGTHS), 24)
    w = {name: array.astype(np.float64) for name, array in bench.weights.items()}
    expected = []
    for one in np.split(x.astype(np.float64), np.cumsum(LENGTHS)[:-1]):
        y = {"first": one[0], "last": one[-1], "mean": one.mean(0)}[pool]
        if dense:
            y = w["dense.weight"] @ y + w["dense.bias"]
            y = y / (1 + np.exp(-y))
        expected.append(y / np.linalg.norm(y) if normalize else y)
    close(bench.run(x, lengths=LENGTHS), np.stack(expected))


def test_nothing_stays_nothing() -> None:
    bench = Bench(Pooler(pool="mean", dense=False, normalize=True), dims_of(4))
    assert np.array_equal(bench.run(np.zeros((2, 4), np.float32)), np.zeros((1, 4)))
