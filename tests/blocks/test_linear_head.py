"""linear_head: the suite, ties, and the formula."""

import numpy as np
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
