"""post_norm: the suite."""

from inferflow_blocks.attention import Attention
from inferflow_blocks.layer_norm import LayerNorm
from inferflow_blocks.mlp import MLP
from inferflow_blocks.post_norm import PostNorm

from inferflow_core.testing import LayerSuite

NORM = LayerNorm()


class TestPostNorm(LayerSuite):
    name = "post_norm"

    def make(self) -> PostNorm:
        return PostNorm(
            mixer=Attention(heads=4),
            cross=Attention(heads=2, qkv_bias=True),
            ffn=MLP(hidden=40, act="relu", bias=True),
            mixer_norm=NORM,
            cross_norm=NORM,
            ffn_norm=NORM,
        )
