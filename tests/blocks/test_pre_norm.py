"""pre_norm: the suite, and the wiring."""

import numpy as np
from inferflow_backends.numpy.prober import random_weights
from inferflow_blocks.attention import Attention
from inferflow_blocks.gated_mlp import GatedMLP
from inferflow_blocks.pre_norm import PreNorm
from inferflow_blocks.rms_norm import RMSNorm

from inferflow_core.testing import LayerSuite
from inferflow_core.testing.probe import Probe, probe

MIXER = Attention(heads=4)
FFN = GatedMLP(act="silu", hidden=40)


class TestPreNorm(LayerSuite):
    name = "pre_norm"

    def make(self) -> PreNorm:
        return PreNorm(mixer=MIXER, ffn=FFN, mixer_norm=RMSNorm(), ffn_norm=RMSNorm())


class TestSandwich(LayerSuite):
    name = "pre_norm"

    def make(self) -> PreNorm:
        norm = RMSNorm(unit_offset=True)
        return PreNorm(
            mixer=MIXER,
            ffn=FFN,
            mixer_norm=norm,
            ffn_norm=norm,
            mixer_out_norm=norm,
            ffn_out_norm=norm,
            residual_scale=0.3,
        )


def run(model: Probe, ids: list[int]) -> np.ndarray:
    return np.frombuffer(TestPreNorm().prober().run(model, [ids])[0], np.float32).reshape(-1, 32)


def test_the_residual_is_scaled() -> None:
    """With a zero scale the layer is the identity; halves are half way."""
    ids, norm = [1, 2, 3], RMSNorm()
    layers = [
        PreNorm(mixer=MIXER, ffn=GatedMLP(act="relu", hidden=8), mixer_norm=norm, residual_scale=s)
        for s in (0.0, 1.0)
    ]
    zero, one = (probe(layer, hidden=32, vocab=40) for layer in layers)
    x = random_weights(zero, 0)["table.weight"].values()[ids]
    assert np.array_equal(run(zero, ids), x)
    assert not np.allclose(run(one, ids), x, atol=1e-2)
