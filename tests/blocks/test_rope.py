"""rope: the suite for every scaling, and the formulas of the papers by other ways to them."""

import math

import numpy as np
import pytest
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
    longrope = Rope(scaling=Table(TABLES["longrope"]), context=64)
    with pytest.raises(ShapeError, match="8 factors for 6 rotated pairs"):
        longrope.frequencies(12, 64)


def test_a_longrope_table_with_a_factor_says_how_much_sharper() -> None:
    """As transformers 5 reads it: the table's factor before the ratio of the contexts."""
    table = TABLES["longrope"] | {"factor": 4.0, "original_max_position_embeddings": 32}
    _, scale = Rope(scaling=Table(table), context=64).frequencies(16, 64)
    assert scale == pytest.approx(math.sqrt(1 + math.log(4) / math.log(32)))
