"""attention: the suite in all its forms, softmax attention written another way, and the classes of
transformers."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of, vectors
from inferflow_backends.numpy.prober import random_weights
from inferflow_blocks.attention import Attention
from inferflow_blocks.layer_norm import LayerNorm
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.rope import Rope

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import SourceState, TokenState, all_params, all_states
from inferflow_core.errors import ShapeError
from inferflow_core.table import Table
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
    "not causal": replace(PLAIN, causal=False),
    "window to both sides": replace(PLAIN, causal=False, window=6),
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
            last = i + 1 if block.causal else len(ids)
            if block.window and not block.causal:
                first, last = max(0, i - block.window // 2), i + block.window // 2 + 1
            scores = k[first:last, kv] @ q[i, head] * (block.scale or 1 / math.sqrt(width))
            if block.softcap:
                scores = block.softcap * np.tanh(scores / block.softcap)
            e = np.exp(scores)
            total = e.sum() + (np.exp(weights["block.sinks"][head]) if block.sinks else 0)
            out[i, head * width : (head + 1) * width] = e / total @ v[first:last, kv]
    return out @ weights["block.o.weight"].T + weights.get("block.o.bias", 0)


def test_params_have_the_axes_of_their_meaning() -> None:
    dims = Dims(Axis("hidden", 32), Axis("vocab", 10), 64)
    params = all_params(replace(PLAIN, kv_heads=2, qk_norm=RMSNorm(), qk_norm_over="own"), dims)
    assert params["k.weight"].shape == (16, 32)
    assert [axis.name for axis in params["k.weight"].axes[0].factors] == ["kv_heads", "head_dim"]
    assert params["q_norm.weight"].shape == (4, 8)
    assert params["k_norm.weight"].shape == (2, 8)


TOKENS = 30
PROJECTIONS = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj"}
SEEN = np.tri(TOKENS, dtype=bool)


def named(weights: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Our paths as theirs."""
    return {
        f"{names[path.rpartition('.')[0]]}.{path.rpartition('.')[2]}": array
        for path, array in weights.items()
        if "." in path
    }


def rotation(reference: Any, code: str, config: Any) -> Any:
    """Cosines and sines as the family's own class computes them."""
    (name,) = (n for n in dir(reference.code(code)) if n.endswith("RotaryEmbedding"))
    cls = getattr(reference.code(code), name)
    like = reference.tensor(np.zeros((1, TOKENS, 1)))
    return cls(config)(like, reference.torch.arange(TOKENS)[None])


def compare(
    block: Attention,
    reference: Any,
    code: str,
    cls: str,
    config: dict[str, Any],
    *,
    names: dict[str, str] = PROJECTIONS,
    extra: tuple[str, ...] = (),
    seen: Any = SEEN,
) -> None:
    """Our block and their class on the same weights and vectors."""
    bench = Bench(block, dims_of(24))
    made = reference.config(
        code,
        hidden_size=24,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=6,
        max_position_embeddings=64,
        **({"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}} | config),
    )
    theirs = getattr(reference.code(code), cls)(made, layer_idx=0)
    weights = named(bench.weights, names)
    reference.filled(theirs, weights | {name: bench.handles[name] for name in extra})
    x = vectors(TOKENS, 24)
    turn, mask = rotation(reference, code, made), reference.mask(seen)
    expected = reference.run(
        theirs, reference.tensor(x)[None], position_embeddings=turn, attention_mask=mask
    )
    close(bench.run(x), expected)


@pytest.mark.parametrize("window", [None, 7])
def test_sinks_are_those_of_gpt_oss(window: int | None, reference: Any) -> None:
    yarn = {
        **{"rope_type": "yarn", "rope_theta": 150.0, "factor": 4.0, "truncate": False},
        "original_max_position_embeddings": 16,
    }
    block = Attention(
        heads=4,
        kv_heads=2,
        head_dim=6,
        qkv_bias=True,
        out_bias=True,
        sinks=True,
        window=window,
        position=Rope(theta=150.0, scaling=Table(yarn), context=64),
    )
    config = {"rope_parameters": yarn, "attention_bias": True}
    seen = SEEN & ~np.tri(TOKENS, k=-7, dtype=bool) if window else SEEN
    compare(block, reference, "gpt_oss", "GptOssAttention", config, extra=("sinks",), seen=seen)


def test_softcap_and_scale_are_those_of_gemma2(reference: Any) -> None:
    block = Attention(
        heads=4, kv_heads=2, head_dim=6, softcap=0.5, scale=11**-0.5, position=Rope(theta=10000.0)
    )
    config = {"attn_logit_softcapping": 0.5, "query_pre_attn_scalar": 11}
    compare(block, reference, "gemma2", "Gemma2Attention", config)


NORMED = {**PROJECTIONS, "q_norm": "q_norm", "k_norm": "k_norm"}


def test_norm_of_a_head_is_that_of_qwen3(reference: Any) -> None:
    block = Attention(heads=4, kv_heads=2, head_dim=6, qk_norm=RMSNorm(eps=1e-6), position=Rope())
    compare(block, reference, "qwen3", "Qwen3Attention", {"rms_norm_eps": 1e-6}, names=NORMED)


def test_norm_of_each_head_is_that_of_cohere(reference: Any) -> None:
    block = Attention(
        heads=4,
        kv_heads=2,
        head_dim=6,
        qk_norm=LayerNorm(eps=1e-5, bias=False),
        qk_norm_over="own",
        position=Rope(interleaved=True),
    )
    config = {"use_qk_norm": True, "layer_norm_eps": 1e-5}
    compare(block, reference, "cohere", "CohereAttention", config, names=NORMED)


def test_norm_of_all_heads_is_that_of_olmo2(reference: Any) -> None:
    block = Attention(heads=4, kv_heads=2, qk_norm=RMSNorm(), qk_norm_over="whole", position=Rope())
    config = {"rms_norm_eps": 1e-5}
    compare(block, reference, "olmo2", "Olmo2Attention", config, names=NORMED)


def test_clip_is_that_of_olmo(reference: Any) -> None:
    block = Attention(heads=4, kv_heads=2, clip=0.3, position=Rope())
    compare(block, reference, "olmo", "OlmoAttention", {"clip_qkv": 0.3})


def test_windows_are_those_of_the_masks_of_transformers(reference: Any) -> None:
    """Causal: the last so many, itself included. Else half of them to each side."""
    masks = reference.transformers.masking_utils
    query, key = np.arange(TOKENS)[:, None], np.arange(TOKENS)
    one_side = masks.sliding_window_causal_mask_function(7)
    seen = reference.tensor(query), reference.tensor(key)
    causal = one_side(0, 0, *seen).numpy()
    block = Attention(heads=4, kv_heads=2, window=7, position=Rope())
    compare(block, reference, "mistral", "MistralAttention", {}, seen=causal)
    both = np.abs(query - key) <= 8 // 2  # as ModernBERT's
    block = replace(block, window=8, causal=False)
    compare(block, reference, "mistral", "MistralAttention", {}, seen=both)


def test_the_window_to_both_sides_is_that_of_modernbert(reference: Any) -> None:
    config = reference.config("modernbert", local_attention=8)
    overlay = reference.transformers.masking_utils.sliding_window_bidirectional_mask_function
    theirs = overlay(config.sliding_window)
    query, key = (reference.tensor(a) for a in (np.arange(TOKENS)[:, None], np.arange(TOKENS)))
    apart = np.abs(np.arange(TOKENS)[:, None] - np.arange(TOKENS))
    assert np.array_equal(theirs(0, 0, query, key).numpy(), apart <= 8 // 2)


class TestCross:
    """`remember` and `recall`, over sequences of their own lengths."""

    BLOCK = Attention(heads=4, qkv_bias=True, out_bias=True)
    NAMES = PROJECTIONS | {"o": "out_proj"}
    OURS, SOURCES = (3, 1, 5), (20, 17, 2)

    def found(self, block: Attention) -> tuple[Bench, Any, Any, Any]:
        bench = Bench(block, dims_of(24, source=True))
        x, source = vectors(sum(self.OURS), 24), vectors(sum(self.SOURCES), 24, seed=2)
        bench.run(source, lengths=self.SOURCES, call=block.remember)
        y = bench.run(x, lengths=self.OURS, source=self.SOURCES, call=block.recall)
        return bench, x, source, y

    def test_equals_m2m100(self, reference: Any) -> None:
        bench, x, source, y = self.found(self.BLOCK)
        config = reference.config("m2m_100")
        theirs = reference.code("m2m_100").M2M100Attention(24, 4, config=config, is_decoder=True)
        reference.filled(theirs, named(bench.weights, self.NAMES))
        for ours, its in self.spans():
            args = reference.tensor(x[ours])[None], reference.tensor(source[its])[None]
            close(y[ours], reference.run(theirs, *args))

    def test_equals_torch(self, reference: Any) -> None:
        bench, x, source, y = self.found(self.BLOCK)
        w = bench.handles
        theirs = reference.torch.nn.MultiheadAttention(24, 4, batch_first=True)
        weights = {
            f"in_proj_{kind}": np.concatenate([w[f"{name}.{kind}"] for name in "qkv"])
            for kind in ("weight", "bias")
        }
        out = {f"out_proj.{kind}": w[f"o.{kind}"] for kind in ("weight", "bias")}
        reference.filled(theirs, weights | out)
        for ours, its in self.spans():
            q, kv = reference.tensor(x[ours])[None], reference.tensor(source[its])[None]
            close(y[ours], reference.run(theirs, q, kv, kv))

    def spans(self) -> list[tuple[slice, slice]]:
        ends = zip(np.cumsum(self.OURS), np.cumsum(self.SOURCES), strict=True)
        counts = zip(self.OURS, self.SOURCES, strict=True)
        pairs = zip(ends, counts, strict=True)
        return [(slice(a - n, a), slice(b - m, b)) for (a, b), (n, m) in pairs]

    def test_order_and_window_do_not_count(self) -> None:
        *_, y = self.found(self.BLOCK)
        *_, again = self.found(replace(self.BLOCK, causal=False, window=2))
        assert np.array_equal(y, again)

    def test_its_caches_have_rows_of_the_source(self) -> None:
        states = all_states(self.BLOCK, dims_of(24, source=True))
        assert {type(state) for state in states.values()} == {SourceState}
        assert {type(s) for s in all_states(self.BLOCK, dims_of(24)).values()} == {TokenState}


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="4 heads cannot share 3 kv_heads equally"):
        Attention(heads=4, kv_heads=3)
    with pytest.raises(ValueError, match="heads is 0; it must be 1 or more"):
        Attention(heads=0)
    with pytest.raises(ValueError, match="window is 0"):
        Attention(heads=4, window=0)
    with pytest.raises(ValueError, match="softcap is 0"):
        Attention(heads=4, softcap=0.0)
    with pytest.raises(ShapeError, match="hidden 30 cannot be 4 equal heads"):
        all_params(PLAIN, dims_of(30))
    assert all_params(replace(PLAIN, head_dim=5), dims_of(30))["q.weight"].shape == (20, 30)
