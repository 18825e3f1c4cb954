"""parallel: the suite."""

from inferflow_blocks.attention import Attention
from inferflow_blocks.layer_norm import LayerNorm
from inferflow_blocks.mlp import MLP
from inferflow_blocks.parallel import Parallel

from inferflow_core.testing import LayerSuite


class TestParallel(LayerSuite):
    name = "parallel"

    def make(self) -> Parallel:
        mixer, ffn = Attention(heads=4), MLP(hidden=40, act="relu", bias=True)
        return Parallel(mixer=mixer, ffn=ffn, mixer_norm=LayerNorm(), residual_scale=0.5)
