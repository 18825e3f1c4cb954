"""encoder_only: the suite."""

from inferflow_blocks.attention import Attention
from inferflow_blocks.encoder_only import EncoderOnly
from inferflow_blocks.layer_norm import LayerNorm
from inferflow_blocks.learned import Learned
from inferflow_blocks.mlm_head import MLMHead
from inferflow_blocks.mlp import MLP
from inferflow_blocks.post_norm import PostNorm
from inferflow_blocks.token_embedding import TokenEmbedding

from inferflow_core.table import Table
from inferflow_core.testing import ModelSuite

NORM = LayerNorm()


class TestEncoderOnly(ModelSuite):
    name = "encoder_only"

    def make(self) -> EncoderOnly:
        mixer = Attention(heads=4, causal=False)
        layer = PostNorm(mixer=mixer, ffn=MLP(act="gelu"), mixer_norm=NORM, ffn_norm=NORM)
        return EncoderOnly(
            hidden=32,
            vocab=40,
            embed=TokenEmbedding(position=Learned(rows=128), norm=NORM),
            layers=(layer, layer),
            heads=Table({"logits": MLMHead(act="gelu", norm=NORM)}),
        )
