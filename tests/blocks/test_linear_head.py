"""linear_head: the suite, ties, and the formula."""

import numpy as np
import pytest
from eager import Bench, close, dims_of, vectors
from inferflow_backends.numpy.prober import random_weights
from inferflow_blocks.linear_head import LinearHead

from inferflow_core.testing import HeadSuite
from inferflow_core.testing.probe import probe


class TestLinearHead(HeadSuite):
    name = "linear_head"

    def make(self) -> LinearHead:
        return LinearHead(tied=False, bias=True, scale=0.5, softcap=3.0, width=20)


class TestTied(HeadSuite):
    name = "linear_head"

    def make(self) -> LinearHead:
        return LinearHead(tied=True)


def test_auto_is_settled_by_the_checkpoint() -> None:
    assert LinearHead().decide(lambda path: path == "weight").tied is False
    assert LinearHead().decide(lambda path: False).tied is True
    assert LinearHead(tied=False).decide(lambda path: False).tied is False


def test_formula() -> None:
    suite = TestLinearHead()
    model = probe(suite.make(), hidden=32, vocab=40)
    w = {k.removeprefix("block."): v.values() for k, v in random_weights(model, 0).items()}
    x = w["table.weight"][[1, 2]] @ w["project.weight"].T
    logits = 3 * np.tanh((x @ w["weight"].T + w["bias"]) * 0.5 / 3)
    found = np.frombuffer(suite.prober().run(model, [[1, 2]])[0], np.float32).reshape(2, 40)
    assert np.allclose(found, logits, atol=1e-5)


FORMS = {
    "plain": LinearHead(tied=False),
    "scale": LinearHead(tied=False, scale=0.0625),
    "softcap": LinearHead(tied=False, softcap=0.5),
    "bias": LinearHead(tied=False, bias=True),
    "width": LinearHead(tied=False, width=10),
    "all": LinearHead(tied=False, scale=2.0, softcap=1.5, bias=True, width=10),
    "tied": LinearHead(tied=True, scale=0.5, bias=True),
    "tied to a narrow table": LinearHead(tied=True, width=10),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_field(form: str) -> None:
    block = FORMS[form]
    table = vectors(40, block.width or 24, seed=8)
    bench = Bench(block, dims_of(24), token_table=table if block.tied else None)
    x = vectors(7, 24)
    w = {name: array.astype(np.float64) for name, array in bench.weights.items()}
    assert ("weight" in w) == (block.tied is False)
    y = x @ w["project.weight"].T if block.width else x
    y = (y @ w.get("weight", table).T + w.get("bias", 0)) * (block.scale or 1)
    close(bench.run(x), block.softcap * np.tanh(y / block.softcap) if block.softcap else y)


def test_a_width_that_it_has_needs_no_map() -> None:
    bench = Bench(LinearHead(tied=False, width=24), dims_of(24))
    assert bench.weights.keys() == {"weight"}


def test_numbers_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="softcap is 0"):
        LinearHead(softcap=0.0)
    with pytest.raises(ValueError, match="width is 0"):
        LinearHead(width=0)
