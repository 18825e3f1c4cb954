"""gated_mlp: the suite, the formula, and Llama's. (gpt-oss's is in test_moe.)"""

from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of, vectors
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


@pytest.mark.parametrize("act", ["silu", "gelu", "gelu_tanh", "relu"])
def test_equals_llama(act: str, reference: Any) -> None:
    """With biases, and any activation of the gate."""
    bench = Bench(GatedMLP(act=act, bias=True, hidden=20), dims_of(12))
    config = reference.config(
        "llama",
        hidden_size=12,
        intermediate_size=20,
        num_attention_heads=4,
        mlp_bias=True,
        hidden_act={"gelu_tanh": "gelu_pytorch_tanh"}.get(act, act),
    )
    theirs = reference.code("llama").LlamaMLP(config)
    weights = {path.replace(".", "_proj."): array for path, array in bench.handles.items()}
    reference.filled(theirs, weights)
    x = vectors(40, 12) * 2
    close(bench.run(x), reference.run(theirs, reference.tensor(x)))


def test_limits_that_are_none() -> None:
    with pytest.raises(ValueError, match="limit is 0"):
        GatedMLP(act="silu", limit=0.0)
