"""attention: the suite in all its forms, and softmax attention written another way."""

import math
from dataclasses import replace

import numpy as np
import pytest
from inferflow_backends.numpy.prober import random_weights
from inferflow_blocks.attention import Attention
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.rope import Rope

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import all_params
from inferflow_core.testing import MixerSuite
from inferflow_core.testing.probe import probe

PLAIN = Attention(heads=4)
FORMS = {
    "multi-head": PLAIN,
    "grouped": replace(PLAIN, kv_heads=2, position=Rope()),
    "multi-query": replace(PLAIN, kv_heads=1, head_dim=12),
    "biases": replace(PLAIN, qkv_bias=True, out_bias=True),
    "window": replace(PLAIN, window=5),
    "soft-cap": replace(PLAIN, softcap=0.5, scale=1.0),
    "norm of heads": replace(PLAIN, kv_heads=2, qk_norm=RMSNorm(), position=Rope()),
    "norm of each head's own": replace(PLAIN, qk_norm=RMSNorm(), qk_norm_over="own"),
    "norm of the whole": replace(PLAIN, qk_norm=RMSNorm(), qk_norm_over="whole"),
    "sinks": replace(PLAIN, sinks=True),
    "clip": replace(PLAIN, clip=0.3),
}


class TestAttention(MixerSuite):
    name = "attention"

    def make(self) -> Attention:
        return Attention(
            heads=4,
            kv_heads=2,
            head_dim=10,
            qkv_bias=True,
            position=Rope(theta=100.0),
            window=7,
            softcap=5.0,
            qk_norm=RMSNorm(eps=1e-6),
            sinks=True,
        )


@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_form_keeps_the_contract(form: str) -> None:
    class Suite(MixerSuite):
        name = "attention"

        def make(self) -> Attention:
            return FORMS[form]

    suite = Suite()
    suite.test_traced_equals_eager()
    suite.test_numeric_law()
    suite.test_every_param_and_state_is_used()
    suite.test_round_trips_through_a_spec()


@pytest.mark.parametrize("form", sorted(FORMS))
def test_equals_attention_written_with_loops(form: str) -> None:
    """float64, a loop over heads and positions, no cache."""
    block = FORMS[form]
    if block.position is not None:
        block = replace(block, position=None)
    model = probe(block, hidden=32, vocab=40)
    ids = [(3 * i + 1) % 40 for i in range(19)]
    weights = {k: w.values().astype(np.float64) for k, w in random_weights(model, 0).items()}
    suite = TestAttention()
    found = np.frombuffer(suite.prober().run(model, [ids])[0], np.float32).reshape(19, 32)
    assert np.allclose(found, loops(block, weights, ids), atol=2e-5)


def loops(block: Attention, weights: dict[str, np.ndarray], ids: list[int]) -> np.ndarray:
    x = weights["table.weight"][ids]
    width = block.head_dim or 32 // block.heads
    kv_heads = block.kv_heads or block.heads

    def project(name: str, heads: int) -> np.ndarray:
        y = x @ weights[f"block.{name}.weight"].T + weights.get(f"block.{name}.bias", 0)
        if block.clip is not None:
            y = y.clip(-block.clip, block.clip)
        scale = weights.get(f"block.{name}_norm.weight")
        if scale is None:
            return y.reshape(len(ids), heads, width)
        if block.qk_norm_over != "whole":
            y = y.reshape(len(ids), heads, width)
        y = y / np.sqrt((y * y).mean(-1, keepdims=True) + 1e-5) * scale
        return y.reshape(len(ids), heads, width)

    q, k, v = project("q", block.heads), project("k", kv_heads), project("v", kv_heads)
    out = np.zeros((len(ids), block.heads * width))
    for i in range(len(ids)):
        for head in range(block.heads):
            kv = head // (block.heads // kv_heads)
            first = max(0, i + 1 - block.window) if block.window else 0
            scores = k[first : i + 1, kv] @ q[i, head] * (block.scale or 1 / math.sqrt(width))
            if block.softcap:
                scores = block.softcap * np.tanh(scores / block.softcap)
            e = np.exp(scores)
            total = e.sum() + (np.exp(weights["block.sinks"][head]) if block.sinks else 0)
            out[i, head * width : (head + 1) * width] = e / total @ v[first : i + 1, kv]
    return out @ weights["block.o.weight"].T + weights.get("block.o.bias", 0)


def test_params_have_the_axes_of_their_meaning() -> None:
    dims = Dims(Axis("hidden", 32), Axis("vocab", 10), 64)
    params = all_params(replace(PLAIN, kv_heads=2, qk_norm=RMSNorm(), qk_norm_over="own"), dims)
    assert params["k.weight"].shape == (16, 32)
    assert [axis.name for axis in params["k.weight"].axes[0].factors] == ["kv_heads", "head_dim"]
    assert params["q_norm.weight"].shape == (4, 8)
    assert params["k_norm.weight"].shape == (2, 8)
