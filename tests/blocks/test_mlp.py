"""mlp: the suite."""

from inferflow_blocks.mlp import MLP

from inferflow_core.testing import FFNSuite


class TestMLP(FFNSuite):
    name = "mlp"

    def make(self) -> MLP:
        return MLP(hidden=48, act="gelu", bias=True)
