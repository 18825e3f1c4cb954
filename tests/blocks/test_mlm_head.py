"""mlm_head: the suite."""

from inferflow_blocks.layer_norm import LayerNorm
from inferflow_blocks.mlm_head import MLMHead

from inferflow_core.testing import HeadSuite


class TestMLMHead(HeadSuite):
    name = "mlm_head"

    def make(self) -> MLMHead:
        return MLMHead(act="gelu", norm=LayerNorm(), tied=False)


class TestTied(HeadSuite):
    name = "mlm_head"

    def make(self) -> MLMHead:
        return MLMHead(act="gelu", norm=LayerNorm(), dense_bias=False)
