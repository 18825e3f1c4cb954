"""layer_norm: the suite."""

from inferflow_blocks.layer_norm import LayerNorm

from inferflow_core.testing import NormSuite


class TestLayerNorm(NormSuite):
    name = "layer_norm"

    def make(self) -> LayerNorm:
        return LayerNorm(eps=1e-3)
