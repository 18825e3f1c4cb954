"""learned: the suite."""

from inferflow_blocks.learned import Learned

from inferflow_core.testing import PositionSuite


class TestLearned(PositionSuite):
    name = "learned"

    def make(self) -> Learned:
        return Learned(rows=130, offset=2)
