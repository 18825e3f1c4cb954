"""alibi: the suite."""

from inferflow_blocks.alibi import Alibi

from inferflow_core.testing import PositionSuite


class TestAlibi(PositionSuite):
    name = "alibi"

    def make(self) -> Alibi:
        return Alibi()
