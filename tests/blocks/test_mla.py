"""mla: the suite."""

from inferflow_blocks.mla import MLA
from inferflow_blocks.rms_norm import RMSNorm
from inferflow_blocks.rope import Rope

from inferflow_core.testing import MixerSuite


class TestMLA(MixerSuite):
    name = "mla"

    def make(self) -> MLA:
        return MLA(
            heads=4,
            q_rank=12,
            kv_rank=10,
            nope_dim=6,
            rope_dim=4,
            v_dim=5,
            norm=RMSNorm(),
            position=Rope(interleaved=True),
            bias=True,
        )
