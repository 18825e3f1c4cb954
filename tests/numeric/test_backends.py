"""The backend suite on numpy, and on a second backend that has the required ops alone."""

import sys
from pathlib import Path

import numpy as np
import pytest
from inferflow_backends.numpy import NumpyBackend
from inferflow_blocks.attention import Attention
from inferflow_blocks.decoder_only import DecoderOnly
from inferflow_blocks.gated_mlp import GatedMLP
from inferflow_blocks.linear_head import LinearHead
from inferflow_blocks.pre_norm import PreNorm
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.rope import Rope
from inferflow_blocks.token_embedding import TokenEmbedding

from inferflow_core.catalog import Catalog
from inferflow_core.shapes import RULES
from inferflow_core.testing import BackendSuite
from inferflow_core.testing.backends import CASES

sys.path.insert(0, str(Path(__file__).parent))
from tiny_backend import TinyBackend


class TestNumpy(BackendSuite):
    name = "numpy"

    def make(self) -> NumpyBackend:
        return NumpyBackend(self.catalog())


@pytest.mark.slow
class TestTiny(BackendSuite):
    name = "tiny"

    def catalog(self) -> Catalog:
        catalog = Catalog()
        catalog.add("backend", "tiny", TinyBackend)
        return catalog

    def make(self) -> TinyBackend:
        return TinyBackend(self.catalog())


def test_every_op_has_a_case() -> None:
    named = {case.partition(",")[0] for case in CASES}
    inside = {"less", "slice", "split_axis", "merge_axes", "select", "append", "activation"}
    assert named | inside >= set(RULES)


def test_the_llama_line_by_decomposition() -> None:
    layer = PreNorm(
        mixer=Attention(heads=4, kv_heads=2, position=Rope(), window=9),
        ffn=GatedMLP(act="silu", hidden=48),
        mixer_norm=RMSNorm(),
        ffn_norm=RMSNorm(),
    )
    model = DecoderOnly(
        hidden=32,
        vocab=40,
        embed=TokenEmbedding(),
        layers=(layer,) * 3,
        norm=RMSNorm(),
        head=LinearHead(tied=True),
    )
    sequences = [[(3 * i) % 40 for i in range(n)] for n in (25, 3)]
    reference = NumpyBackend(Catalog([])).prober()
    tiny = NumpyBackend(Catalog([])).prober(TinyBackend(Catalog([])))
    for a, b in zip(reference.run(model, sequences), tiny.run(model, sequences), strict=True):
        assert np.allclose(np.frombuffer(a, np.float32), np.frombuffer(b, np.float32), atol=1e-4)
