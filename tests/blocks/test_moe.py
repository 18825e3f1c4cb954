"""moe: the suite."""

from inferflow_blocks.gated_mlp import GatedMLP
from inferflow_blocks.moe import MoE
from inferflow_blocks.top_k import TopK

from inferflow_core.testing import FFNSuite


class TestMoE(FFNSuite):
    name = "moe"

    def make(self) -> MoE:
        expert = GatedMLP(hidden=20, act="silu", bias=True)
        shared = GatedMLP(hidden=24, act="silu")
        router = TopK(k=2, renormalize=True)
        return MoE(experts=6, router=router, expert=expert, shared=shared, shared_gate=True)
