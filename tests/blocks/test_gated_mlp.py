"""gated_mlp: the suite, and the formula."""

import numpy as np
from inferflow_backends.numpy.prober import random_weights
from inferflow_blocks.gated_mlp import GatedMLP

from inferflow_core.testing import FFNSuite
from inferflow_core.testing.probe import probe


class TestGatedMLP(FFNSuite):
    name = "gated_mlp"

    def make(self) -> GatedMLP:
        return GatedMLP(act="silu", hidden=44, bias=True, limit=0.9, up_offset=1.0)


class TestDefaultWidth(FFNSuite):
    name = "gated_mlp"

    def make(self) -> GatedMLP:
        return GatedMLP(act="gelu_tanh")


def test_formula() -> None:
    suite = TestGatedMLP()
    model = probe(suite.make(), hidden=32, vocab=40)
    w = {k.removeprefix("block."): v.values() for k, v in random_weights(model, 0).items()}
    x = w["table.weight"][[5, 6]].astype(np.float64)
    gate = np.minimum(x @ w["gate.weight"].T + w["gate.bias"], 0.9)
    up = np.clip(x @ w["up.weight"].T + w["up.bias"], -0.9, 0.9)
    expected = (gate / (1 + np.exp(-gate)) * (up + 1)) @ w["down.weight"].T + w["down.bias"]
    found = np.frombuffer(suite.prober().run(model, [[5, 6]])[0], np.float32).reshape(2, 32)
    assert np.allclose(found, expected, atol=1e-5)
