"""alibi: the suite."""

from inferflow_blocks.alibi import Alibi

from inferflow_core.testing import PositionSuite


class TestAlibi(PositionSuite):
    name = "alibi"

    def make(self) -> Alibi:
        return Alibi()


def test_slopes_fall_geometrically_and_are_scaled():
    assert Alibi().slopes(8) == [2.0**-i for i in range(1, 9)]
    # Six heads: those of four, then every second one of eight.
    assert Alibi(scale=0.5).slopes(6) == [2.0**-e / 2 for e in (2, 4, 6, 8, 1, 3)]
