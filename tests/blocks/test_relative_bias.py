"""relative_bias: the suite."""

from inferflow_blocks.relative_bias import RelativeBias

from inferflow_core.testing import PositionSuite


class TestRelativeBias(PositionSuite):
    name = "relative_bias"

    def make(self) -> RelativeBias:
        return RelativeBias(buckets=8, max_distance=20)
