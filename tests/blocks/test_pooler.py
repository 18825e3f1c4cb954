"""pooler: the suite."""

from inferflow_blocks.pooler import Pooler

from inferflow_core.testing import HeadSuite


class TestPooler(HeadSuite):
    name = "pooler"

    def make(self) -> Pooler:
        return Pooler()


class TestMean(HeadSuite):
    name = "pooler"

    def make(self) -> Pooler:
        return Pooler(pool="mean", dense=False, normalize=True)
