"""encoder_decoder: the suite."""

from inferflow_blocks.attention import Attention
from inferflow_blocks.encoder_decoder import EncoderDecoder
from inferflow_blocks.linear_head import LinearHead
from inferflow_blocks.mlp import MLP
from inferflow_blocks.pre_norm import PreNorm
from inferflow_blocks.relative_bias import RelativeBias
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.token_embedding import TokenEmbedding

from inferflow_core.stack import Stack
from inferflow_core.testing import ModelSuite

NORM = RMSNorm()


class TestEncoderDecoder(ModelSuite):
    name = "encoder_decoder"

    def make(self) -> EncoderDecoder:
        ffn, own = MLP(act="relu"), Attention(heads=4, causal=False)
        reads = PreNorm(mixer=own, ffn=ffn, mixer_norm=NORM, ffn_norm=NORM)
        writes = PreNorm(
            mixer=Attention(heads=4), cross=own, ffn=ffn, mixer_norm=NORM, cross_norm=NORM
        )
        near, far = (
            RelativeBias(buckets=8, max_distance=20, bidirectional=b) for b in (True, False)
        )
        return EncoderDecoder(
            hidden=32,
            vocab=40,
            encoder=Stack(embed=TokenEmbedding(), layers=(reads, reads), position=near, norm=NORM),
            decoder=Stack(embed=TokenEmbedding(), layers=(writes, writes), position=far, norm=NORM),
            head=LinearHead(tied=True),
        )
