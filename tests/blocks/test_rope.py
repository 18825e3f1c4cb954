"""rope: the suite for every scaling, the formulas of the papers by other ways to them, and those of
transformers."""

import math
from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of, vectors
from inferflow_backends.numpy.eager import EagerOps
from inferflow_blocks.rope import SCALINGS, Rope

from inferflow_core.errors import ShapeError
from inferflow_core.table import Table
from inferflow_core.testing import PositionSuite

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
TABLES = {
    "default": {"rope_type": "default"},
    "linear": {"type": "linear", "factor": 2.0},
    "dynamic": {"type": "dynamic", "factor": 2.0},
    "llama3": LLAMA3,
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
    "longrope": {
        "rope_type": "longrope",
        "short_factor": [1.0] * 8,
        "long_factor": [float(i + 1) for i in range(8)],
    },
}


class TestRope(PositionSuite):
    name = "rope"

    def make(self) -> Rope:
        return Rope(theta=500.0, fraction=0.5, interleaved=True)


class TestHalves(PositionSuite):
    name = "rope"

    def make(self) -> Rope:
        return Rope(dims=12)


@pytest.mark.parametrize("kind", sorted(TABLES))
class TestScaled:
    def test_suite(self, kind: str) -> None:
        class Suite(PositionSuite):
            name = "rope"

            def make(self) -> Rope:
                return Rope(scaling=Table(TABLES[kind]), context=64, original_context=32)

        suite = Suite()
        suite.test_numeric_law()
        suite.test_traced_equals_eager()
        suite.test_decomposed_is_close_to_eager()


def test_every_scaling_is_tried() -> None:
    assert set(TABLES) == set(SCALINGS)


def test_rotation_is_complex_multiplication() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 2, 8)).astype(np.float32)
    positions = np.array([0, 1, 7, 100, 3], np.int32)
    frequencies, _ = Rope().frequencies(8, 128)
    turn = np.exp(1j * positions[:, None, None] * np.array(frequencies))
    half = (x[..., :4] + 1j * x[..., 4:]) * turn
    y = EagerOps().rope(x, positions, frequencies)
    assert np.allclose(y, np.concatenate([half.real, half.imag], -1), atol=1e-5)
    pairs = (x[..., ::2] + 1j * x[..., 1::2]) * turn
    y = EagerOps().rope(x, positions, frequencies, interleaved=True)
    assert np.allclose(y[..., ::2], pairs.real, atol=1e-5)
    assert np.allclose(y[..., 1::2], pairs.imag, atol=1e-5)


def test_llama3_keeps_short_waves_and_stretches_long_ones() -> None:
    plain, _ = Rope(theta=500000.0).frequencies(128, 8192)
    scaled, scale = Rope(theta=500000.0, scaling=Table(LLAMA3)).frequencies(128, 131072)
    assert scale == 1.0
    for f, g in zip(plain, scaled, strict=True):
        wave = 2 * math.pi / f
        if wave < 8192 / 4:
            assert g == f
        elif wave > 8192 / 1:
            assert g == pytest.approx(f / 8)
        else:
            assert f / 8 < g < f


def test_yarn_keeps_fast_pairs_interpolates_slow_ones_and_scales() -> None:
    table = Table({"rope_type": "yarn", "factor": 16.0, "original_max_position_embeddings": 4096})
    plain, _ = Rope().frequencies(128, 65536)
    scaled, scale = Rope(scaling=table).frequencies(128, 65536)
    assert scale == pytest.approx(0.1 * math.log(16.0) + 1.0)
    turns = [4096 * f / (2 * math.pi) for f in plain]
    for f, g, t in zip(plain, scaled, turns, strict=True):
        if t > 40:
            assert g == pytest.approx(f)
        if t < 0.8:
            assert g == pytest.approx(f / 16)


def test_longrope_follows_the_declared_context() -> None:
    rope = Rope(scaling=Table(TABLES["longrope"]), context=64, original_context=32)
    short, long = rope.frequencies(16, 32)[0], rope.frequencies(16, 64)[0]
    assert short == Rope().frequencies(16, 32)[0]
    assert long[3] == pytest.approx(short[3] / 4)
    assert rope.frequencies(16, 64)[1] == pytest.approx(math.sqrt(1 + math.log(2) / math.log(32)))


def test_dynamic_is_plain_within_the_trained_context() -> None:
    rope = Rope(scaling=Table(TABLES["dynamic"]), context=64)
    assert rope.frequencies(16, 64) == Rope().frequencies(16, 64)
    assert rope.frequencies(16, 128)[0][-1] < Rope().frequencies(16, 128)[0][-1]


def test_unknown_scaling_and_missing_keys_say_so() -> None:
    with pytest.raises(ShapeError, match=r"rope_type 'yarm'.*Did you mean 'yarn'"):
        Rope(scaling=Table({"rope_type": "yarm"})).frequencies(8, 8)
    with pytest.raises(ShapeError, match="lacks the key 'factor'"):
        Rope(scaling=Table({"rope_type": "linear"})).frequencies(8, 8)
    with pytest.raises(ShapeError, match="has factor = '2'; it must be a number above 0"):
        Rope(scaling=Table({"rope_type": "linear", "factor": "2"})).frequencies(8, 8)
    with pytest.raises(ShapeError, match="lacks the key 'original_max_position_embeddings'"):
        Rope(scaling=Table({"type": "yarn", "factor": 2, "mscale_all_dim": 1})).frequencies(8, 8)
    with pytest.raises(ShapeError, match="lacks the key 'original_max_position_embeddings'"):
        Rope(scaling=Table({"type": "yarn", "mscale_all_dim": 1})).score_factor()
    with pytest.raises(ShapeError, match=r"low_freq_factor 4.0 is not below high_freq_factor 4.0"):
        Rope(scaling=Table({**LLAMA3, "low_freq_factor": 4.0})).frequencies(8, 8)
    with pytest.raises(ShapeError, match="short_factor has 8 numbers; 4 pairs are rotated"):
        Rope(scaling=Table(TABLES["longrope"]), context=8).frequencies(8, 8)
    with pytest.raises(ShapeError, match="two pairs"):
        Rope(scaling=Table(TABLES["dynamic"]), context=8).frequencies(2, 8)


THEIRS: dict[str, dict[str, Any]] = {
    "linear": {"rope_type": "linear", "factor": 2.5},
    "dynamic": {"rope_type": "dynamic", "factor": 4.0},
    "llama3": LLAMA3,
    "llama3, wide band": {**LLAMA3, "high_freq_factor": 32.0, "factor": 3},
    "yarn": {"rope_type": "yarn", "factor": 4.0},
    "yarn, DeepSeek-V2's": {
        **{"rope_type": "yarn", "factor": 40, "mscale": 0.707, "mscale_all_dim": 0.707},
        **{"beta_fast": 32, "beta_slow": 1, "original_max_position_embeddings": 4096},
    },
    "yarn, two mscales": {
        **{"rope_type": "yarn", "factor": 16.0, "mscale": 1.0, "mscale_all_dim": 0.5},
        "original_max_position_embeddings": 1024,
    },
    "yarn, one mscale counts for nothing": {"rope_type": "yarn", "factor": 8.0, "mscale": 2.0},
    "yarn, gpt-oss's": {
        **{"rope_type": "yarn", "factor": 32.0, "truncate": False, "beta_fast": 32.0},
        **{"beta_slow": 1.0, "original_max_position_embeddings": 4096},
    },
    "yarn, own factor of attention": {"rope_type": "yarn", "factor": 4.0, "attention_factor": 0.9},
    "yarn, a band of no width": {
        **{"rope_type": "yarn", "factor": 4.0, "beta_fast": 1, "beta_slow": 1},
        **{"truncate": False, "original_max_position_embeddings": 128},
    },
    "longrope, factor": {
        **{"rope_type": "longrope", "factor": 3.0, "original_max_position_embeddings": 1024},
        **{"short_factor": [1.0 + i / 8 for i in range(16)]},
        **{"long_factor": [2.0 + i for i in range(16)]},
    },
    "longrope": {
        **{"rope_type": "longrope", "original_max_position_embeddings": 1024},
        **{"short_factor": [1.0 + i / 8 for i in range(16)]},
        **{"long_factor": [2.0 + i for i in range(16)]},
    },
    "longrope, own factor of attention": {
        **{"rope_type": "longrope", "original_max_position_embeddings": 1024},
        **{"short_factor": [1.5] * 16, "long_factor": [9.0] * 16, "attention_factor": 1.19},
    },
}


@pytest.mark.parametrize("run_context", [512, 4096, 10000])
@pytest.mark.parametrize("theta", [10000.0, 500000.0])
@pytest.mark.parametrize("form", THEIRS)
def test_equals_transformers(form: str, theta: float, run_context: int, reference: Any) -> None:
    table = THEIRS[form]
    half = form.startswith("longrope")
    config = reference.config(
        "llama",
        hidden_size=256,
        num_attention_heads=4,
        max_position_embeddings=4096,
        rope_parameters={**table, "rope_theta": theta, "partial_rotary_factor": 0.5 if half else 1},
    )
    methods = reference.transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS
    expected, scale = methods[table["rope_type"]](config, "cpu", seq_len=run_context)
    rope = Rope(theta=theta, scaling=Table(table), context=4096)
    frequencies, ours = rope.frequencies(32 if half else 64, run_context)
    assert ours == pytest.approx(scale, rel=1e-6)
    np.testing.assert_allclose(frequencies, expected.numpy(), rtol=2e-6)


def test_a_length_outside_of_the_table_is_the_trained_one(reference: Any) -> None:
    """As Phi-3 writes it."""
    table = {k: v for k, v in THEIRS["longrope"].items() if not k.startswith("original")}
    inside = Rope(scaling=Table(THEIRS["longrope"]), context=4096)
    outside = Rope(scaling=Table(table), context=4096, original_context=1024)
    for context in (1024, 1025):
        assert inside.frequencies(32, context) == outside.frequencies(32, context)
    assert inside.frequencies(32, 1024) != inside.frequencies(32, 1025)


@pytest.mark.parametrize("form", ["yarn, DeepSeek-V2's", "yarn, two mscales", "yarn", "linear"])
def test_score_factor_is_deepseeks(form: str, reference: Any) -> None:
    found = Rope(scaling=Table(THEIRS[form]), context=4096).score_factor()
    theirs = reference.code("deepseek_v3").yarn_apply_mscale(THEIRS[form], 1.0)
    assert found == pytest.approx(theirs, rel=1e-12)
    assert (found == 1.0) == (form in ("yarn", "linear"))


def rotated(block: Rope, x: Any) -> Any:
    bench = Bench(block, dims_of(8))
    return bench.run(
        x, lengths=[len(x)], call=lambda o, w, y, c: block.rotate(o, w, y, c, width=y.shape[-1])
    )


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_rotates_as_transformers_do(share: float, reference: Any) -> None:
    """Halves as GPT-NeoX, pairs as GPT-J, on all of a head or its first part."""
    x, width = vectors(30, 2, 16), int(16 * share)
    angle = np.arange(30)[:, None] * 10000.0 ** (-np.arange(0, width, 2) / width)
    cos, sin = (
        reference.tensor(f(np.concatenate([angle, angle], -1)))[None] for f in (np.cos, np.sin)
    )
    q = reference.tensor(x).transpose(0, 1)[None]
    neox = reference.code("gpt_neox")
    halves = reference.run(lambda: neox.apply_rotary_pos_emb(q, q, cos, sin))
    close(rotated(Rope(fraction=share), x), halves.swapaxes(0, 1))
    half = reference.tensor(angle)[None]
    turned = reference.code("gptj").apply_rotary_pos_emb(
        reference.tensor(x)[None, ..., :width], half.sin(), half.cos()
    )
    pairs = np.concatenate([turned[0].numpy(), x[..., width:]], -1)
    close(rotated(Rope(dims=width, interleaved=True), x), pairs)


def test_dimensions_that_are_no_pairs_of_a_head() -> None:
    x = vectors(2, 1, 8)
    for block in (Rope(dims=3), Rope(fraction=0.4), Rope(dims=10), Rope(fraction=0.1)):
        with pytest.raises(ShapeError, match=r"would rotate \d+ dimensions of a head of 8"):
            rotated(block, x)
    with pytest.raises(ValueError, match="theta is 0"):
        Rope(theta=0.0)
    with pytest.raises(ValueError, match=r"fraction is 1\.5"):
        Rope(fraction=1.5)
    with pytest.raises(ValueError, match="dims is -2"):
        Rope(dims=-2)


def test_a_longrope_table_with_a_factor_says_how_much_sharper() -> None:
    """As transformers 5 reads it: the table's factor before the ratio of the contexts."""
    table = TABLES["longrope"] | {"factor": 4.0, "original_max_position_embeddings": 32}
    _, scale = Rope(scaling=Table(table), context=64).frequencies(16, 64)
    assert scale == pytest.approx(math.sqrt(1 + math.log(4) / math.log(32)))
