"""mla: the suite, and DeepSeek's attention, which makes every head's keys and values."""

from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of, vectors
from inferflow_blocks.attention import Attention
from inferflow_blocks.mla import MLA
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.rope import Rope

from inferflow_core.block import all_states
from inferflow_core.errors import ShapeError
from inferflow_core.table import Table
from inferflow_core.testing import MixerSuite

TOKENS = 30
NAMES = {
    "q": "q_proj",
    "q_a": "q_a_proj",
    "q_norm": "q_a_layernorm",
    "q_b": "q_b_proj",
    "kv_a": "kv_a_proj_with_mqa",
    "kv_norm": "kv_a_layernorm",
    "kv_b": "kv_b_proj",
    "o": "o_proj",
}
YARN = {
    **{"rope_type": "yarn", "rope_theta": 10000.0, "factor": 40.0, "mscale": 0.7},
    **{"mscale_all_dim": 0.9, "original_max_position_embeddings": 16},
}
PLAIN = {"rope_type": "default", "rope_theta": 10000.0}


def make(**fields: Any) -> MLA:
    sizes = {"heads": 4, "kv_rank": 10, "nope_dim": 6, "rope_dim": 4, "v_dim": 5}
    return MLA(
        **({**sizes, "norm": RMSNorm(eps=1e-6), "position": Rope(interleaved=True)} | fields)
    )


class TestMLA(MixerSuite):
    name = "mla"

    def make(self) -> MLA:
        return make(q_rank=12, bias=True)


class TestFullQuery(MixerSuite):
    name = "mla"

    def make(self) -> MLA:
        return make(scale=0.5)


def theirs(reference: Any, code: str, block: MLA, weights: dict[str, Any], rope: Any) -> Any:
    """Their output for the vectors of the test."""
    config = reference.config(
        code,
        hidden_size=24,
        num_attention_heads=4,
        num_key_value_heads=4,
        q_lora_rank=block.q_rank,
        kv_lora_rank=10,
        qk_nope_head_dim=6,
        qk_rope_head_dim=4,
        v_head_dim=5,
        attention_bias=block.bias,
        max_position_embeddings=640,
        rope_parameters=rope,
    )
    name = {"deepseek_v2": "DeepseekV2", "deepseek_v3": "DeepseekV3"}[code]
    module = getattr(reference.code(code), f"{name}Attention")(config, layer_idx=0)
    renamed = {}
    for path, array in weights.items():
        part, _, kind = path.rpartition(".")
        renamed[f"{NAMES[part]}.{kind}"] = array
    reference.filled(module, renamed)
    x = reference.tensor(vectors(TOKENS, 24))[None]
    places = reference.torch.arange(TOKENS)[None]
    turn = getattr(reference.code(code), f"{name}RotaryEmbedding")(config)(x, places)
    seen = np.tri(TOKENS, dtype=bool)
    return reference.run(module, x, position_embeddings=turn, attention_mask=reference.mask(seen))


@pytest.mark.parametrize("code", ["deepseek_v2", "deepseek_v3"])
@pytest.mark.parametrize("q_rank", [None, 12])
@pytest.mark.parametrize("scaled", [False, True])
def test_equals_deepseek(code: str, q_rank: int | None, scaled: bool, reference: Any) -> None:
    """With YaRN's factors of cosine, sine and scores, or without."""
    rope = YARN if scaled else PLAIN
    position = Rope(interleaved=True, scaling=Table(rope), context=640)
    block = make(q_rank=q_rank, position=position, bias=q_rank is not None)
    assert (position.score_factor() != 1.0) == scaled
    bench = Bench(block, dims_of(24))
    expected = theirs(reference, code, block, bench.weights, rope)
    close(bench.run(vectors(TOKENS, 24)), expected, 2e-5)


def test_the_cache_holds_the_latent_and_one_rotated_key() -> None:
    """kv_rank + rope_dim numbers a token, where attention keeps keys and values of every head."""
    (state,) = all_states(make(), dims_of(24)).values()
    assert np.prod([axis.length for axis in state.axes]) == 10 + 4
    heads = all_states(Attention(heads=4, head_dim=10), dims_of(24)).values()
    assert sum(np.prod([axis.length for axis in s.axes]) for s in heads) == 2 * 4 * 10
    bench = Bench(make(), dims_of(24))
    bench.run(vectors(TOKENS, 24))
    written = bench.handles["latent"]
    assert np.count_nonzero(written) == TOKENS * 14


def test_a_given_scale_is_the_scale() -> None:
    """Nothing is multiplied to it."""
    position = Rope(interleaved=True, scaling=Table(YARN), context=640)
    absent, given = make(position=position), make(position=position, scale=10**-0.5)
    x, weights = vectors(TOKENS, 24), Bench(absent, dims_of(24)).weights
    one, other = (Bench(block, dims_of(24), weights).run(x) for block in (absent, given))
    assert np.abs(one - other).max() > 1e-3
    factor = position.score_factor()
    same = Bench(make(position=position, scale=factor * 10**-0.5), dims_of(24), weights).run(x)
    assert np.array_equal(one, same)


def test_without_a_position_order_does_not_count_but_causality() -> None:
    bench = Bench(make(position=None), dims_of(24))
    x = vectors(TOKENS, 24)
    swapped = x[[1, 0, *range(2, TOKENS)]]
    close(bench.run(swapped)[2:], bench.run(x)[2:])


def test_sizes_that_do_not_fit() -> None:
    for field in ("heads", "kv_rank", "nope_dim", "rope_dim", "v_dim", "q_rank"):
        with pytest.raises(ValueError, match=f"{field} is 0; it must be 1 or more"):
            make(**{field: 0})


def test_it_reads_no_encoder() -> None:
    with pytest.raises(ShapeError, match="MLA is causal"):
        make().state(dims_of(24, source=True))
