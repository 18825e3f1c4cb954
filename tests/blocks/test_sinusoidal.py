"""sinusoidal: the suite."""

from inferflow_blocks.sinusoidal import Sinusoidal

from inferflow_core.testing import PositionSuite


class TestSinusoidal(PositionSuite):
    name = "sinusoidal"

    def make(self) -> Sinusoidal:
        return Sinusoidal(offset=2, style="fairseq")
