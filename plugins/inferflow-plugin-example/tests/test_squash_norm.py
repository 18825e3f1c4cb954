"""example.squash_norm: the suite, and the formula."""

import numpy as np
from inferflow_backends.numpy.eager import EagerOps
from inferflow_plugin_example.squash_norm import SquashNorm

from inferflow_core.catalog import Catalog
from inferflow_core.optable import OpTable
from inferflow_core.testing import NormSuite


class TestSquashNorm(NormSuite):
    name = "example.squash_norm"

    def make(self) -> SquashNorm:
        return SquashNorm(alpha=0.5)


def test_formula() -> None:
    x = np.array([[-3.0, 1.0]], np.float32)
    y = EagerOps(OpTable(Catalog())).op("example.softsign")(x)
    assert np.allclose(y, [[-0.75, 0.5]])
