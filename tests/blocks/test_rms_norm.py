"""rms_norm: the suite, and the formula."""

import numpy as np
from inferflow_backends.numpy.eager import EagerOps
from inferflow_blocks.rms_norm import RMSNorm

from inferflow_core.testing import NormSuite


class TestRMSNorm(NormSuite):
    name = "rms_norm"

    def make(self) -> RMSNorm:
        return RMSNorm(eps=1e-3, unit_offset=True)


class TestWithoutWeight(NormSuite):
    name = "rms_norm"

    def make(self) -> RMSNorm:
        return RMSNorm(weight=False)


def test_formula() -> None:
    x = np.array([[3.0, 4.0]], np.float32)
    weight = np.array([1.0, 2.0], np.float32)
    y = EagerOps().rms_norm(x, weight, eps=0.0, unit_offset=True)
    assert np.allclose(y, [[3 / 12.5**0.5 * 2, 4 / 12.5**0.5 * 3]])
