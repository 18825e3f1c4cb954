from inferflow_plugin_example.scaled_norm import ScaledNorm

from inferflow_core.testing import NormSuite


class TestScaledNorm(NormSuite):
    name = "example.scaled_norm"

    def make(self):
        return ScaledNorm(eps=1e-3, scale=0.5)
